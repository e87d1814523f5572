"""Routers and requests for these tests, in as few words as they need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.chat import ChatRequest, Message, Part, Role, Text
from gateway.config.model import Candidate, Capability, Designator, Model, Price, Provider, Router

CODER, ALL_ROUNDER, QUICK = "anthropic/claude-sonnet-4-5", "openai/gpt-4o", "groq/llama-3.3-70b-versatile"
PURPOSES = {CODER: "Best for coding and analysis", ALL_ROUNDER: "Good all-rounder", QUICK: "Fast for simple queries"}


def model(
    id: str,
    *,
    context: int | None = None,
    max_output: int | None = None,
    capabilities: Iterable[Capability] | None = None,
    price: tuple[float | None, float | None] | None = None,
    structured: Any = "none",
) -> Model:
    provider, _, name = id.partition("/")
    return Model(
        id=id,
        name=name,
        provider=Provider(name=provider, wire="openai", base_url=f"https://{provider}.test/v1", structured=structured),
        context=context,
        max_output=max_output,
        capabilities=None if capabilities is None else frozenset(capabilities),
        price=None if price is None else Price(input=price[0], output=price[1]),
    )


def candidate(id: str, purpose: str | None = None, **facts: Any) -> Candidate:
    return Candidate(model=model(id, **facts), purpose=PURPOSES.get(id, "") if purpose is None else purpose)


def router(
    *candidates: Candidate, fallback: str | None = None, designator: Model | None = None, purpose: str = ""
) -> Router:
    """Three plain candidates and the second as fallback, unless told otherwise."""
    if not candidates:
        candidates = tuple(candidate(id) for id in PURPOSES)
        fallback = fallback or ALL_ROUNDER
    return Router(
        name="smart",
        purpose=purpose,
        designator=Designator(model=designator or model("gemini/gemini-2.0-flash"), timeout=1.5),
        candidates=candidates,
        fallback=next((each for each in candidates if each.id == fallback), candidates[0]),
    )


def turn(role: Role, *parts: Part | str) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def chat(*turns: Message | str, **settings: Any) -> ChatRequest:
    """A request with these turns; a mere string is a user turn."""
    messages = tuple(turn("user", each) if isinstance(each, str) else each for each in turns)
    return ChatRequest(**{"dialect": "openai", "model": "smart", "messages": messages, "fields": {}, **settings})
