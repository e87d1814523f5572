"""Permissions mean nothing to root, as whom CI and containers run tests: for a while, be nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Run the block as a user who may write into ``folder``, and whom permissions concern."""
    if os.geteuid() != 0:
        yield
        return
    with ExitStack() as stack:
        for place in (folder, *folder.parents):
            mode = place.stat().st_mode
            if not mode & 0o001:
                stack.callback(place.chmod, mode)
                place.chmod(mode | 0o011)
        for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            place.chmod(0o777)
        os.seteuid(NOBODY)
        stack.callback(os.seteuid, 0)
        yield
