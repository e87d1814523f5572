"""Processes on chosen cores: start, wait until they answer, read what they cost, stop them for certain."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

INSTALL = "On Debian: apt-get install nginx-light libnginx-mod-http-echo wrk"
"""What an error about a missing tool tells to do."""
READY_WITHIN = 20.0
"""Seconds that a process may take until it answers."""
STOP_WITHIN = 10.0


class BenchError(Exception):
    """The benchmark cannot run, or what it measured would not be what it says."""


class Cores(NamedTuple):
    """Core lists as `taskset -c` takes them; both empty where there is only one core to share."""

    subject: str
    others: str


def split_cores() -> Cores:
    """The first usable core for the process under test, the rest for everybody else."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(str(first), ",".join(map(str, others))) if others else Cores("", "")


def pinned(cores: str, command: Sequence[str]) -> list[str]:
    return ["taskset", "-c", cores, *command] if cores else list(command)


def find_tool(name: str) -> str:
    """The tool's path. Debian keeps nginx in /usr/sbin, which is not on everybody's PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if path is None:
        raise BenchError(f"{name} is missing. {INSTALL}")
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A server and its children, in a session of their own, ended when the `with` block is left.

    Output goes to `log`; `command` is started with `cores` as its CPU affinity, which children inherit.
    """

    def __init__(self, command: Sequence[str], *, cores: str, log: Path, env: dict[str, str] | None = None) -> None:
        self._command = command
        self._log = log
        self.started = time.perf_counter()
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                pinned(cores, command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._popen.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_WITHIN)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def wait_ready(self, port: int, path: str) -> float:
        """Seconds from the start until `GET path` first answered 200."""
        while time.perf_counter() - self.started < READY_WITHIN:
            if answers_200(port, path):
                return time.perf_counter() - self.started
            if self._popen.poll() is not None:
                raise BenchError(f"{self._command[0]} ended with {self._popen.returncode}:\n{self._output()}")
            time.sleep(0.002)
        raise BenchError(f"{self._command[0]} was not ready within {READY_WITHIN:g} s:\n{self._output()}")

    def cpu_seconds(self) -> float:
        """User and system time of the process and all its living descendants so far."""
        return sum(_cpu_seconds(pid) for pid in self._tree())

    def resident(self) -> Resident:
        sizes = [_resident_kib(pid) for pid in self._tree()]
        return Resident(total_mib=sum(sizes) / 1024, largest_mib=max(sizes) / 1024)

    def _output(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def _tree(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for pid, parent in _parents():
            children.setdefault(parent, []).append(pid)
        found = [self._popen.pid]
        for pid in found:
            found.extend(children.get(pid, ()))
        return found


class Resident(NamedTuple):
    """VmRSS of all processes summed (pages that they share are counted in each), and of the largest, the worker."""

    total_mib: float
    largest_mib: float


def answers_200(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return client.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def _parents() -> Iterator[tuple[int, int]]:
    """Every process and its parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name, between brackets, may hold spaces; the parent is the second field after it (proc(5)).
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), int(fields[1])


def _cpu_seconds(pid: int) -> float:
    # The id of another process's CPU clock, as clock_getcpuclockid(3) makes it on Linux: the sum of utime and stime
    # in /proc/PID/stat, in nanoseconds instead of ticks of 10 ms.
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


def _resident_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0
