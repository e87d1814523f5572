"""How a gateway is started. Imported by the parent process, which stays small: the standard library only."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a commit cannot change."""

    config: Path
    host: str = "127.0.0.1"
    port: int = 11434
    workers: int = 1
    #: Where state is kept; None keeps it in memory.
    data: Path | None = None
    allow_anonymous: bool = False
    log_format: str = "json"
    #: Watch by polling only, for file systems that send no events.
    polling: bool = False
    #: Seconds that requests under way get to end at a shutdown.
    drain: float = 30.0
    #: A folder for what the workers of one run share beside ``data``; None where there can be none.
    runtime: Path | None = None

    @cached_property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
