"""What Mistral's API refuses, and so do the chat templates of its open models, wherever they run."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_NAMES = re.compile(r"(?:open-|labs-)?(?:mi(?:s|nis)tral|mixtral|magistral|codestral|devstral|pixtral|voxtral)")
# "Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9."
_ID = re.compile(r"[a-zA-Z0-9]{9}")


def is_mistral(model: str) -> bool:
    """Whether the model is Mistral's, by its name with or without a maker's name before it."""
    return _NAMES.match(model.rpartition("/")[2].lower()) is not None


def short_id(call_id: str) -> str:
    """A tool call's id as Mistral takes it: itself where it is one, else one made from it, always the same."""
    if _ID.fullmatch(call_id):
        return call_id
    return hashlib.blake2b(call_id.encode(), digest_size=5).hexdigest()[:9]


def mend(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A conversation of this wire with short ids, and with an assistant's word between tools' results and the user's
    next turn ("Unexpected role 'user' after role 'tool'").
    """
    mended: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "user" and mended and mended[-1]["role"] == "tool":
            mended.append({"role": "assistant", "content": "Done."})
        calls = message.get("tool_calls")
        for call in calls if type(calls) is list else ():
            _shorten(call, "id")
        _shorten(message, "tool_call_id")
        mended.append(message)
    return mended


def _shorten(holder: Any, name: str) -> None:
    if type(holder) is dict and type(holder.get(name)) is str:
        holder[name] = short_id(holder[name])
