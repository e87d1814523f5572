"""What a message or a delta says, as the hub's parts; a delta is read like a small message."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import Reasoning, Text
from gateway.wire.openai.chunks import Delta


def thoughts(delta: Delta) -> list[Reasoning]:
    """The thinking in ``delta``, in whichever of its places the provider put it."""
    text = delta.reasoning_content or delta.reasoning
    found = [Reasoning(text)] if type(text) is str and text else []
    if type(delta.reasoning_details) is list:
        told = bool(found)
        for detail in delta.reasoning_details:
            if type(detail) is dict:
                found.extend(_detail(detail, told=told))
    return found


def said(content: Any) -> list[Text | Reasoning]:
    """The parts of a ``content``: a string, or Mistral's list of typed parts, or Cloudflare's parsed object."""
    if type(content) is str:
        return [Text(content)] if content else []
    if type(content) is dict:
        return [Text(msgspec.json.encode(content).decode())]
    parts: list[Text | Reasoning] = []
    if type(content) is list:
        for item in content:
            if type(item) is str and item:
                parts.append(Text(item))
            elif type(item) is dict:
                if item.get("type") == "thinking":
                    parts.extend(Reasoning(thought) for thought in _texts(item.get("thinking")))
                else:
                    parts.extend(Text(text) for text in _texts([item]))
    return parts


def _detail(detail: dict[str, Any], *, told: bool) -> list[Reasoning]:
    """One of OpenRouter's ``reasoning_details``; its text counts only where it is not told beside the details."""
    text = "" if told else detail.get("text") or detail.get("summary") or ""
    signature = redacted = None
    # A proof is of use to the provider that wrote it alone, and only Anthropic's has a place in the hub.
    if str(detail.get("format")).startswith("anthropic"):
        signature, redacted = detail.get("signature"), detail.get("data")
    text, signature, redacted = (
        value if type(value) is str and value else None for value in (text, signature, redacted)
    )
    return [Reasoning(text or "", signature, redacted)] if text or signature or redacted else []


def _texts(items: Any) -> list[str]:
    if type(items) is str:
        return [items] if items else []
    if type(items) is not list:
        return []
    texts = (item.get("text") for item in items if type(item) is dict)
    return [text for text in texts if type(text) is str and text]
