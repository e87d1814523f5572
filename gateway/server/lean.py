"""A small worker: libraries look for other libraries and load them where they are installed, used or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: What is found in passing and never used: httpx's command line (with rich, click and pygments), and the framework's
#: integrations. Together they cost some 14 MiB and a fifth of a second of start-up.
UNUSED = ("httpx._main", "pydantic", "attrs", "opentelemetry")


@contextmanager
def without_unused() -> Iterator[None]:
    """Imports in this block do not find the :data:`UNUSED` modules; whoever needs one later on still does."""
    hidden = [name for name in UNUSED if name not in sys.modules]
    # To the import system None means: not to be had.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
