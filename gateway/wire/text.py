"""Strings that others wrote, made safe to show."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

#: A provider's message is shown up to this many characters.
MAX_MESSAGE = 500

# C0, C1, zero-width and direction-changing characters, and the line ends of Unicode.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
# Keys by the prefixes that providers give them, whatever follows "Bearer", and OpenAI's organisation ids.
_KEY = re.compile(
    r"\b(?:sk|rk|pk|gsk|csk|xai|pplx|nvapi|tgp|fw|hf|r8|org)[-_][\w*.-]{8,}|\bAIza[\w*-]{16,}|(?i:\bbearer\s+)\S+"
)
# A JSON string's escapes: a character in two halves, half a character, any other.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.-]{1,64}")

#: The code of OpenAI's API for a prompt that the model cannot hold, which others say only in words: vLLM, Mistral and
#: OpenRouter; Anthropic; xAI; Gemini; llama.cpp; Groq.
TOO_LONG = "context_length_exceeded"
_TOO_LONG = re.compile(
    r"maximum context length|prompt is too long|maximum prompt length|exceeds the maximum number of tokens"
    r"|exceeds? the (?:available )?context (?:size|window|length)|reduce the length of the messages",
    re.IGNORECASE,
)


def refusal_kind(message: str, kind: str | None) -> str | None:
    """A refused request's code: :data:`TOO_LONG` where the message says so, else the provider's own."""
    return TOO_LONG if _TOO_LONG.search(message) else kind


def printable(name: str) -> str:
    """A client's string as an error may show it: at most 64 printable ASCII characters."""
    return "".join(char for char in name[:64] if " " <= char <= "~")


def visible(text: str, *, lines: bool = False) -> str:
    """``text`` with what is not seen, or turns the rest around, spelled out: ``[U+202E]``.

    With ``lines`` it may have line ends and tabs.
    """

    def spelled(found: re.Match[str]) -> str:
        return "".join(char if lines and char in "\n\t" else f"[U+{ord(char):04X}]" for char in found[0])

    return _INVISIBLE.sub(spelled, text)


def has_key(text: str) -> bool:
    """Whether ``text`` holds something that looks like a provider's key."""
    return _KEY.search(text) is not None


def shown(message: str) -> str:
    """A provider's message as a client may see it: one line, capped, keys masked."""
    # Cut before the work and after it: a message may be as long as a body.
    flat = _INVISIBLE.sub(" ", message[: 4 * MAX_MESSAGE])
    return _KEY.sub("[key]", flat).strip()[:MAX_MESSAGE]


def identifier(value: Any) -> str | None:
    """``value`` if it is a plain word that may stand in a header or a metric, else None."""
    return value if type(value) is str and _IDENTIFIER.fullmatch(value) else None


_any = msgspec.json.Decoder().decode


def is_json(text: str) -> bool:
    """Whether ``text`` is one whole JSON value, as far as that can be read."""
    try:
        _any(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


_T = TypeVar("_T")


def lenient(decode: Callable[[bytes], _T], json: bytes) -> _T:
    """``json`` decoded, where it holds half a character with U+FFFD for that one.

    RFC 8259, section 8.2, lets JSON do so, and servers that cut text into UTF-16 units send it. Raises as ``decode``.
    """
    try:
        return decode(json)
    except msgspec.DecodeError:
        mended = _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], json)
        if mended == json:
            raise
        return decode(mended)


def one_line(json: bytes) -> bytes:
    """JSON without the characters that only Unicode takes for line ends, which are escaped.

    They may stand in JSON as they are, but clients that read a stream line by line, such as Ollama's own SDK for
    Python, would end a line there.
    """
    if json.isascii():
        return json
    # Beyond ASCII there is nothing but strings, and in UTF-8 no character's bytes are found inside of another's.
    return (
        json.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029").replace(b"\xc2\x85", b"\\u0085")
    )
