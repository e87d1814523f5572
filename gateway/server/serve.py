"""``llm-relay serve``: check, bind, run workers.

The parent process stays small: it never imports the application. What must be known before a port is opened, whether
the configuration is good, a short-lived child finds out.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import socket
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels

if TYPE_CHECKING:
    from gateway.server.settings import Settings

log = logging.getLogger("llm_relay.serve")

#: ``EX_CONFIG`` of sysexits.h: the configuration is refused.
EX_CONFIG = 78
#: Seconds that a worker may take beyond the drain time to close what it holds, before it is killed.
CLOSING_SECONDS = 10
#: A request's head must be whole within so many milliseconds; a connection that asks nothing is closed after it too.
HEAD_MS = 10_000


def serve(settings: Settings) -> int:
    """Run until a signal ends it. The exit status: 0, 1 where it cannot run here, 78 on a bad configuration."""
    if (problem := _port_problem(settings.host, settings.port)) is not None:
        print(problem, file=sys.stderr)
        return 1
    refused = _rehearse(settings)
    if refused:
        return refused
    with ExitStack() as stack:
        try:
            runtime = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llm-relay-")))
        except OSError as error:
            if settings.workers > 1:
                print(f"several workers need a folder for temporary files: {error}", file=sys.stderr)
                return 1
            runtime = None
        if settings.workers > 1 and runtime is not None:
            # Must be set before the metrics library is imported.
            (runtime / "metrics").mkdir()
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(runtime / "metrics")
        return _run(replace(settings, runtime=runtime))


class _Server(Granian):  # type: ignore[misc, valid-type]
    """Hands a second signal on to the workers: whoever sends it does not want to wait."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self.pid:
            # A worker inherits this handler until it has its own; the signal must not be lost on it.
            os._exit(0)
        if self.interrupt_signal:
            for worker in self.wrks:
                worker.terminate()
        super().signal_handler_interrupt(*args, **kwargs)


def _run(settings: Settings) -> int:
    from gateway import logs

    # What the server has to say of its workers goes where everything goes, in the same form.
    logs.configure(settings.log_format)
    server = _Server(
        "gateway.server.app:build",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop if sys.platform != "win32" else Loops.asyncio,
        # "auto" would accept HTTP/2 in the clear, and never close a silent connection.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_MS),
        # As cheap as the other. That one holds the interpreter's lock while it waits for its own thread to end, which
        # may want the lock to log that a client is gone: one in ten workers whose client read nothing never ended.
        runtime_mode=RuntimeModes.st,
        websockets=False,
        backlog=2048,
        # Counts idle connections too, so it is no limit of requests; the application has one.
        backpressure=1 << 20,
        workers_kill_timeout=math.ceil(settings.drain) + CLOSING_SECONDS,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        log_level=LogLevels.warning,
        log_dictconfig={"loggers": {"_granian": {"propagate": True}}},
    )
    server.serve(target_loader=partial(_worker, settings, os.getpid()), wrap_loader=False)
    return 0


def _worker(settings: Settings, parent: int) -> Any:
    """The application of one worker; runs in the worker's process."""
    from gateway.server.lean import without_unused

    with without_unused():
        from gateway import logs
        from gateway.server.app import build
        from gateway.server.lifetime import Lifetime
        from gateway.server.services import Services

    logs.configure(settings.log_format)
    # A configuration with mistakes needs more than a good one: whatever that is must be found.
    services = Services(settings)
    with without_unused():
        app = build(services)
    lifetime = Lifetime(services.attendant, parent=parent, port=settings.port, drain=settings.drain)
    app.on_startup.append(lifetime.begin)
    # What is here now stays: the collector need not look at it again, and what a request makes has no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return app


def _rehearse(settings: Settings) -> int:
    """Load the configuration in a child, so that its memory is given back. The exit status to end with, or 0."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = _check(settings)
        except Exception:
            # A defect. The child ends here, so that nobody else would tell of it, and 78 would blame the configuration.
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _check(settings: Settings) -> int:
    from gateway import logs
    from gateway.config.load import load
    from gateway.server.exposure import objections
    from gateway.telemetry.wanted import CannotTrace, exporters

    logs.configure(settings.log_format)
    loaded = load(settings.config, os.environ)
    objected = objections(settings, loaded.snapshot) if loaded.snapshot is not None else ()
    for problem in (*loaded.problems, *objected):
        level = logging.ERROR if problem.severity == "error" else logging.WARNING
        log.log(level, "%s", problem, extra={"problem": problem.code})
    if loaded.snapshot is None or objected:
        return EX_CONFIG
    try:
        if wanted := exporters(os.environ):
            log.info("traces are exported: %s", ", ".join(wanted))
    except CannotTrace as error:
        # Whoever only watches must not keep the gateway from its work.
        log.error("no traces: %s", error)
    _greet(settings, [router.name for router in loaded.snapshot.routers.values()])
    return 0


def _greet(settings: Settings, routers: list[str]) -> None:
    """Say where it runs and what to try."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    host = {"0.0.0.0": "localhost", "127.0.0.1": "localhost"}.get(host, host)
    base = f"http://{host}:{settings.port}"
    if settings.log_format != "text":
        return
    question = {"model": routers[0] if routers else "sandbox/generalist"}
    body = json.dumps({**question, "messages": [{"role": "user", "content": "Write a Python function to parse JSON"}]})
    counted = "1 router" if len(routers) == 1 else f"{len(routers)} routers"
    sys.stderr.write(
        f"LLM Relay at {base} with {counted}: {', '.join(routers) or 'none'}\n\n"
        f"Try it:\n\n  curl -i {base}/api/chat -d '{body}'\n\n"
        f"Edit a file in {_shown(settings.config)} and ask again; stop with Ctrl-C.\n\n"
    )


def _shown(folder: Path) -> str:
    try:
        return str(folder.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(folder)


def _port_problem(host: str, port: int) -> str | None:
    """Why the address cannot be had. Asked here, since the workers' SO_REUSEPORT would share a port silently."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port or --host"
    return None
