"""Texts that people read, and designators."""

from __future__ import annotations

import unicodedata

from gateway.config.problems import Place, Report

#: Characters that change how a text looks without being seen: they could hide a text from whoever reviews it.
_HIDDEN = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Zl": "a line separator",
    "Zp": "a line separator",
}


def prose(text: str, place: Place, report: Report) -> str:
    """A text that people and the designator read, without the space around it."""
    if not (text.isascii() and text.isprintable()):
        for character in text:
            kind = _HIDDEN.get(unicodedata.category(character))
            if kind is not None and character != "\n":
                report.add(place, "E203", f"the text holds {kind}, U+{ord(character):04X}", "remove it")
                break
    return text.strip()
