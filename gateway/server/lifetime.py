"""How a worker ends: in time, with everything accounted, and not after its parent.

At a signal the server closes its door and waits for the last exchange to end, which may be never. So SIGTERM, the
signal that the parent sends, is taken from it: a clock starts, and the server gets a SIGINT in its place.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from gateway.server.exchange import Attendant
from gateway.server.listener import hang_up

log = logging.getLogger("llm_relay.server")

#: Seconds in which an exchange that is cut may tell its client so.
FAREWELL_SECONDS = 1.0
#: Seconds between two looks whether the parent still lives: nobody else can end a worker.
_PARENT_SECONDS = 1.0


class Lifetime:
    """Of one worker; ``parent`` is the process that started it, ``port`` is where it listens.

    Exchanges get ``drain`` seconds to end after a SIGTERM, a second one cuts them at once.
    """

    def __init__(self, attendant: Attendant, *, parent: int, port: int, drain: float) -> None:
        self._attendant = attendant
        self._parent = parent
        self._port = port
        self._drain = drain
        self._ending = False

    async def begin(self) -> None:
        """To be called when the server has installed its own handlers."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._terminate)
        self._look()

    def _look(self) -> None:
        if os.getppid() == self._parent:
            asyncio.get_running_loop().call_later(_PARENT_SECONDS, self._look)
            return
        log.error("the parent process is gone")
        self._terminate()

    def _terminate(self) -> None:
        if self._ending:
            self._cut()
            return
        self._ending = True
        if under_way := len(self._attendant):
            log.info("shutting down: %d requests are under way and get %g seconds", under_way, self._drain)
        asyncio.get_running_loop().call_later(self._drain, self._cut)
        signal.raise_signal(signal.SIGINT)

    def _cut(self) -> None:
        if under_way := len(self._attendant):
            log.warning("shutting down: %d requests are cut", under_way)
            self._attendant.cut()
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, self._hang_up)

    def _hang_up(self) -> None:
        # A client that takes nothing would keep the server waiting with what it was sent last.
        self._attendant.abandon()
        hang_up(self._port)
