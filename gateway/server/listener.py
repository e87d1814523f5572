"""The sockets of a worker, which the server opens and keeps to itself."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

#: Seconds after which the kernel gives up a client that acknowledges nothing, or has no room for anything.
SILENT_SECONDS = 60


def drop_silent_clients(port: int, seconds: int = SILENT_SECONDS, *, again: float = 0.001) -> None:
    """Have the kernel close connections to ``port`` whose client takes nothing for ``seconds`` (RFC 5482).

    The server itself would wait for such clients for ever. What is set on the listening socket holds for the
    connections that it accepts from then on. It opens only after the application has started: until then it is
    looked for, in ``again`` seconds and then ever less often. Does nothing where the system has no such option.
    """
    if sys.platform == "linux" and not _limit(port, seconds):
        again_later = partial(drop_silent_clients, port, seconds, again=min(2 * again, 1.0))
        asyncio.get_running_loop().call_later(again, again_later)


def _limit(port: int, seconds: int) -> bool:
    """Set the option on this process's listening sockets on ``port``; whether there was one."""
    found = False
    for it in _sockets(port, listening=True):
        it.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
        found = True
    return found


def hang_up(port: int) -> None:
    """Close every connection to ``port``, whatever its client has still to take. Does nothing but on Linux."""
    if sys.platform == "linux":
        for it in _sockets(port, listening=False):
            # One that is bound and not connected is the parent's hold on the port.
            with suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)


def _sockets(port: int, *, listening: bool) -> Iterator[socket.socket]:
    """This process's TCP sockets on its own side's ``port``: those that listen, or those that are connected."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        # Any of them may be closed meanwhile.
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as it:
                tcp = it.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
                accepts = bool(it.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                if tcp and accepts is listening and it.getsockname()[1] == port:
                    yield it
