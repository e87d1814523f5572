"""Durations, sizes and shares, read as they are written and written again.

Their form is checked by the schema before they come here.
"""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"([0-9.]+)([A-Za-z]+)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def duration(text: str) -> float:
    """``1500ms`` in seconds."""
    number, unit = _split(text)
    return float(number) * _SECONDS[unit]


def size(text: str) -> int:
    """``32MiB`` in bytes."""
    number, unit = _split(text)
    return int(number) * _BYTES[unit]


def share(text: str) -> float:
    """``0.5%`` as a part of one."""
    return float(text.removesuffix("%")) / 100


def spell_share(part: float) -> str:
    """The shortest way to write it: ``0.5%``."""
    return f"{round(100 * part, 3):g}%"


def spell_duration(seconds: float) -> str:
    """The shortest way to write it: ``1.5s``, ``250ms``, ``24h``, ``30d``."""
    if seconds >= 2 * _SECONDS["d"] and seconds % _SECONDS["d"] == 0:
        return f"{seconds / _SECONDS['d']:g}d"
    for unit in ("h", "m", "s"):
        if seconds >= _SECONDS[unit] and (seconds % _SECONDS[unit] == 0 or unit == "s"):
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds * 1000:g}ms"


def spell_size(count: int) -> str:
    """The shortest way to write it: ``32MiB``, ``1500B``."""
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if count % _BYTES[unit] == 0)
    return f"{count // _BYTES[unit]}{unit}"


def _split(text: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return match[1], match[2]
