"""Tokens in streams: counted once, wherever a provider reports them, and shown to those who asked."""

from __future__ import annotations

import pytest

from gateway.chat import Usage, UsageReport
from tests.wire.openai.chunks import DONE, STOP, USAGE, chunk, decode, event, text, watch

USAGE_CHUNK = event({"id": "c1", "choices": [], "usage": USAGE})


@pytest.mark.parametrize(
    "stream",
    [
        text("a") + STOP + USAGE_CHUNK + DONE,
        text("a") + chunk(finish="stop", usage=USAGE) + DONE,
        text("a") + chunk({"content": "b"}, "stop", usage=USAGE) + DONE,
        text("a") + STOP + chunk({"content": ""}, None, usage=USAGE) + DONE,
        text("a") + chunk(finish="stop", usage=USAGE) + USAGE_CHUNK + DONE,
        chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1})
        + chunk(finish="stop", usage=USAGE)
        + DONE,
        chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": None}) + STOP + USAGE_CHUNK + DONE,
        text("a") + STOP + DONE + USAGE_CHUNK,
        text("a") + chunk(finish="stop", x_groq={"id": "r", "usage": USAGE}) + DONE,
        text("a") + STOP + event({"usage": USAGE}) + DONE,
    ],
)
def test_usage_is_set_and_never_added(stream: bytes) -> None:
    events, progress = decode(stream)
    reports = [found.usage for found in events if type(found) is UsageReport]
    assert reports[-1] == progress.usage == Usage(3, 2)
    assert watch(stream)[1].usage == Usage(3, 2)


@pytest.mark.parametrize("usage", [None, {}, [], "x", {"prompt_tokens": -1, "completion_tokens": "2"}])
def test_no_usage_is_unknown_usage(usage: object) -> None:
    stream = chunk({"content": "a"}, usage=usage) + STOP + DONE
    assert decode(stream)[1].usage == watch(stream)[1].usage == Usage()


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 1}}, Usage(3, 2, cache_read=1)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2}}, Usage(3, 2, 1, 2)),
        ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 1}}, Usage(3, 2, reasoning=1)),
        ({**USAGE, "prompt_tokens_details": None, "completion_tokens_details": []}, Usage(3, 2)),
        ({**USAGE, "prompt_cache_hit_tokens": 1, "prompt_cache_miss_tokens": 2}, Usage(3, 2, cache_read=1)),
        ({**USAGE, "cache_read_input_tokens": 1, "cache_creation_input_tokens": 0}, Usage(3, 2, 1, 0)),
        ({**USAGE, "num_cached_tokens": 1}, Usage(3, 2, cache_read=1)),
        # More cached tokens than tokens, more reasoning than output: seen at xAI and OpenRouter.
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 400}}, Usage(3, 2, cache_read=3)),
        ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}, Usage(3, 2, reasoning=2)),
        # Reasoning beside the output instead of in it: xAI and Gemini.
        ({**USAGE, "total_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}, Usage(3, 6, reasoning=4)),
        ({**USAGE, "total_tokens": 9}, Usage(3, 6)),
        ({"prompt_tokens": 3.0, "completion_tokens": True}, Usage(3)),
    ],
)
def test_words_for_usage(usage: dict[str, object], expected: Usage) -> None:
    assert decode(text("a"), STOP, event({"choices": [], "usage": usage}), DONE)[1].usage == expected


@pytest.mark.parametrize("usage_chunk", [USAGE_CHUNK, event({"usage": USAGE}), USAGE_CHUNK.replace(b"\n", b"\r\n")])
def test_a_client_that_did_not_ask_gets_no_usage_chunk(usage_chunk: bytes) -> None:
    before = text("a") + STOP
    passed, progress = watch(before + usage_chunk + DONE, usage=False)
    assert passed == before + DONE
    assert progress.usage == Usage(3, 2)
    assert watch(before, usage_chunk, DONE, usage=False)[0] == before + DONE
    assert watch(before + usage_chunk + DONE, usage=True)[0] == before + usage_chunk + DONE
    assert watch(before + DONE + usage_chunk, usage=False)[0] == before + DONE


@pytest.mark.parametrize(
    "kept",
    [
        event({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        event({"choices": [], "usage": None}),
        chunk({"content": ""}, usage=USAGE),
        chunk(finish="stop", usage=USAGE),
        b": comment\n\n",
    ],
)
def test_everything_else_passes_a_client_that_did_not_ask(kept: bytes) -> None:
    stream = text("a") + kept + STOP + DONE
    assert watch(stream, usage=False)[0] == stream
