"""How pages are written: the template engine, and how numbers and times are shown.

The engine is loaded with the first page that is asked for: a gateway whose pages nobody looks at does without.
"""

from __future__ import annotations

import hashlib
import math
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gateway.config.units import spell_duration, spell_share
from gateway.errors import RelayError
from gateway.server.ui.view import RANGES, Page, View
from gateway.wire.text import visible

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
_UNKNOWN = "\N{EN DASH}"
_SECTIONS = (
    ("", "Overview"),
    ("routers", "Routers"),
    ("decisions", "Decisions"),
    ("usage", "Usage"),
    ("config", "Config"),
)


def render(page: Page, view: View) -> str:
    """The page as HTML."""
    return (
        _environment()
        .get_template(page.template)
        .render(
            title=page.title,
            section=page.section,
            notice=view.notice,
            desired=view.services.holder.desired,
            now=view.now,
            range=view.range,
            here=f"/ui/{view.path}",
            query=view.query,
            **page.values,
        )
    )


def render_error(error: RelayError) -> str:
    """A page that says what is wrong, and nothing of the gateway."""
    return _environment().get_template("error.html").render(error=error, title=f"{error.status}", section=None)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        count=count, short=short, usd=usd, ms=ms, share=share, clock=clock, iso=iso, ago=ago, duration=spell_duration
    )
    environment.filters["percent"] = spell_share
    environment.globals.update(sections=_SECTIONS, ranges=RANGES, address=address, asset=_asset)
    return environment


def _shown(value: object) -> object:
    """Clients choose some names: none may look like another one. What a macro made was looked at in its parts."""
    return visible(value, lines=True) if type(value) is str else value


@cache
def _asset(name: str) -> str:
    digest = hashlib.blake2b((_HERE / "static" / name).read_bytes(), digest_size=6).hexdigest()
    return f"/ui/static/{name}?{digest}"


def address(path: str, **query: object) -> str:
    """A path of this site with a query; what is None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


# --- numbers and times ------------------------------------------------------------------------------------------------


def count(value: float | None) -> str:
    """``12,345``."""
    return _UNKNOWN if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """``12.3k``, for what needs no last digit."""
    if value is None:
        return _UNKNOWN
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scaled = value / (1e3 if unit == "k" else size)
            return f"{scaled:,.1f}{unit}" if scaled < 100 else f"{scaled:,.0f}{unit}"
    return f"{value:,.0f}"


def usd(value: float | None) -> str:
    """Dollars with cents, or as many digits as a smaller sum needs."""
    if value is None:
        return _UNKNOWN
    sign, size = ("\N{MINUS SIGN}" if value < 0 else ""), abs(value)
    if size == 0 or size >= 1:
        return f"{sign}${size:,.2f}"
    digits = min(9, 2 - math.floor(math.log10(size)))
    return f"{sign}${size:.{max(2, digits)}f}"


def ms(value: float | None) -> str:
    """Milliseconds as ``0.6 ms``, ``820 ms``, ``2.41 s`` or ``3 min 2 s``."""
    if value is None:
        return _UNKNOWN
    if value < 10:
        return f"{value:.1f} ms"
    if value < 1000:
        return f"{value:.0f} ms"
    if value < 60_000:
        return f"{value / 1000:.2f} s"
    minutes, seconds = divmod(round(value / 1000), 60)
    return f"{minutes} min {seconds} s"


def share(part: float | None, whole: float | None) -> str:
    """``12.5 %``."""
    return _UNKNOWN if part is None or not whole else f"{100 * part / whole:.1f} %"


def clock(seconds: float) -> str:
    """``2026-01-31 23:59:59`` (UTC)."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def iso(seconds: float) -> str:
    """The same for machines."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def ago(seconds: float, now: float) -> str:
    """``5 min ago``."""
    age = max(0, int(now - seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if age >= size:
            return f"{age // size} {unit} ago"
    return f"{age} s ago"
