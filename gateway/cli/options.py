"""Options that commands share. Every option of `serve` has a variable, and a bad variable is a usage error too."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

#: Exit statuses: fine, findings, wrong usage.
OK, FINDINGS, USAGE = 0, 1, 2

_AGE = re.compile(r"^(\d{1,9})([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def said(error: OSError) -> str:
    """What the system refused, in words."""
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"


def option(
    parser: argparse.ArgumentParser,
    name: str,
    variable: str,
    default: str | None,
    text: str,
    *,
    type: Callable[[str], object] = str,
    metavar: str | None = None,
) -> None:
    """An option whose default is the environment's ``variable``, else ``default``."""
    # A default that is a string passes through `type` as an argument would.
    value = os.environ.get(variable) or default
    shown = "" if default is None else f", default {default}"
    parser.add_argument(name, default=value, type=type, metavar=metavar, help=f"{text} (${variable}{shown})")


def flag(parser: argparse.ArgumentParser, name: str, variable: str, text: str) -> None:
    """A switch that the environment's ``variable`` may turn on."""
    on = os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")
    parser.add_argument(name, action="store_true", default=on, help=f"{text} (${variable})")


def folder(parser: argparse.ArgumentParser) -> None:
    """The folder of routers, as an argument that may be left out, and may stand before or behind options."""
    default = Path(os.environ.get("LLM_RELAY_CONFIG") or "routers.d")
    text = "the folder of routers, default routers.d"
    argument = parser.add_argument("folder", type=Path, default=default, metavar="[DIR]", help=text)
    # With nargs="?" it would count as left out as soon as an option follows another argument.
    argument.required = False


def data(parser: argparse.ArgumentParser) -> None:
    """The folder of sessions and ledger."""
    text = "folder of sessions and ledger"
    option(parser, "--data", "LLM_RELAY_DATA", str(default_data()), text, type=Path, metavar="DIR")


def style(parser: argparse.ArgumentParser, *styles: str) -> None:
    """How to print; the first style is the default."""
    parser.add_argument("--format", choices=styles, default=styles[0])


def age(text: str) -> float:
    """A time span such as ``12h`` or ``7d``, in seconds."""
    match = _AGE.match(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: give a number and a unit, as in 12h, 7d or 4w")
    return float(int(match[1]) * _SECONDS[match[2]])


def whole(low: int, high: int, what: str) -> Callable[[str], int]:
    """The type of a whole number within bounds."""

    def convert(text: str) -> int:
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}: give {low} to {high}")

    return convert


def default_data() -> Path:
    """Where state is kept by default: as the XDG base directory specification says."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(home) / "llm-relay"
