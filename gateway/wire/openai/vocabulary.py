"""The hub's words in this wire's own."""

from __future__ import annotations

from typing import Any

from gateway.chat import ChatRequest, FinishReason, Usage

#: Finish reasons, without a refusal that was told as such: that one finishes with ``stop``.
FINISH: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "stop_sequence": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
}


def usage_object(usage: Usage) -> dict[str, Any] | None:
    """``usage`` as a response reports it, None where nothing is known. An unknown half counts as nothing."""
    if usage.input is None and usage.output is None:
        return None
    prompt, output = usage.input or 0, usage.output or 0
    counts: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    # OpenRouter's name for what is written to a cache; the reference has none.
    cached = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
    if known := {name: count for name, count in cached.items() if count is not None}:
        counts["prompt_tokens_details"] = known
    if usage.reasoning is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return counts


def speaks_of_functions(request: ChatRequest) -> bool:
    """Whether the client knows only the ``functions`` that came before tools, and must be answered in their terms."""
    return "functions" in request.fields and "tools" not in request.fields


def call_id(answer_id: str, index: int) -> str:
    """An id for a tool call that has none."""
    return f"call_{answer_id}_{index}"
