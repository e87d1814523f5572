"""Whatever a provider sends, nothing but our own errors comes of it."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.chat import ChatRequest
from gateway.errors import UpstreamError
from gateway.wire.openai import DIALECT, WIRE
from tests.wire.openai.chunks import DONE, NO_FIELDS, STOP, decode, event, text, watch

_MESSAGE: dict[str, Any] = {
    "role": "assistant",
    "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
    "refusal": "No",
    "reasoning_content": "hm",
    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1"}],
    "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    "function_call": {"name": "f", "arguments": "{}"},
}
_USAGE: dict[str, Any] = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "total_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
_CHOICE = {"index": 0, "delta": _MESSAGE, "message": _MESSAGE, "finish_reason": "tool_calls", "finish_details": {}}
_WHOLE: dict[str, Any] = {
    "id": "c1",
    "model": "m",
    "choices": [_CHOICE],
    "usage": _USAGE,
    "x_groq": {"usage": _USAGE},
    "error": None,
}
_VALUES: list[Any] = [None, True, 0, -1, 10**30, 0.5, "", "x", "error", [], [None], [[]], {}, {"type": 5}, {"id": []}]
_ODD: st.SearchStrategy[Any] = st.sampled_from(_VALUES)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in ``value`` with every key in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(value, key), *_places(item)]]


@given(st.data())
def test_a_mutated_answer_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    answer = copy.deepcopy(_WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(_places(answer)))
        container[key] = copy.deepcopy(data.draw(_ODD))
    request = ChatRequest("openai", "m", (), NO_FIELDS)
    body = json.dumps(answer).encode()
    stream = text("a") + event(answer) + event(answer) + STOP + DONE
    with contextlib.suppress(UpstreamError):
        WIRE.watch_answer(body)
    with contextlib.suppress(UpstreamError):
        DIALECT.encode_answer(WIRE.decode_answer(body), request, "m", "id", 1.0)
    with contextlib.suppress(UpstreamError):
        watch(stream)
    with contextlib.suppress(UpstreamError):
        encoder = DIALECT.encoder(request, "m", "id", 1.0)
        assert b"".join(map(encoder.encode, decode(stream)[0]))


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b"\r", DONE, STOP]), max_size=8))
def test_bytes_of_any_kind_are_read_or_refused_and_nothing_else(pieces: list[bytes]) -> None:
    with contextlib.suppress(UpstreamError):
        watch(*pieces)
    with contextlib.suppress(UpstreamError):
        decode(*pieces)
    with contextlib.suppress(UpstreamError):
        WIRE.decode_answer(b"".join(pieces))
