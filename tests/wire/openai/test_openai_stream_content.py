"""What streams say, in all the words that providers have for it."""

from __future__ import annotations

import msgspec
import pytest

from gateway.chat import Event, Finish, ReasoningDelta, RefusalDelta, Start, TextDelta, ToolCallDelta
from tests.wire.openai.chunks import (
    DONE,
    FIRST,
    START,
    STOP,
    call,
    calls,
    chunk,
    decode,
    event,
    more,
    named,
    text,
    watch,
)

CONTENT: dict[str, tuple[bytes, list[Event]]] = {
    "plain": (FIRST + text("Hi") + text(" there") + STOP, [TextDelta("Hi"), TextDelta(" there"), Finish("stop")]),
    "characters of any width": (FIRST + text("é漢🙂\u2028") + STOP, [TextDelta("é漢🙂\u2028"), Finish("stop")]),
    "an empty first chunk without id": (
        event({"choices": [], "created": 0, "id": "", "model": "", "prompt_filter_results": []}) + text("Hi") + STOP,
        [TextDelta("Hi"), Finish("stop")],
    ),
    "null and empty content, empty deltas, no delta": (
        text(None)
        + text("")
        + chunk()
        + chunk(None)
        + event({"id": "c1", "model": "m", "choices": [{"index": 0}]})
        + event({"id": "c1", "choices": []})
        + text("Hi")
        + event({"choices": [{"delta": None, "index": None}]})
        + STOP,
        [TextDelta("Hi"), Finish("stop")],
    ),
    "the role in every delta": (
        chunk({"role": "assistant", "content": "a"}) + chunk({"role": "assistant", "content": "b"}, "stop"),
        [TextDelta("a"), TextDelta("b"), Finish("stop")],
    ),
    "the finish with content": (text("a") + text("b", "length"), [TextDelta("a"), TextDelta("b"), Finish("length")]),
    "the finish twice": (text("a") + STOP + STOP, [TextDelta("a"), Finish("stop")]),
    "the finish twice, the second empty": (text("a", "length") + text("", ""), [TextDelta("a"), Finish("length")]),
    "another choice": (
        text("a") + event({"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}) + STOP,
        [TextDelta("a"), Finish("stop")],
    ),
    "the whole message again at the end": (
        text("a")
        + event({"choices": [{"message": {"content": "a"}, "delta": {"content": ""}, "finish_reason": "stop"}]}),
        [TextDelta("a"), Finish("stop")],
    ),
    "a refusal": (
        chunk({"content": None, "refusal": ""}) + chunk({"refusal": "No"}) + chunk({"refusal": "."}) + STOP,
        [RefusalDelta("No"), RefusalDelta("."), Finish("stop")],
    ),
    "content in parts": (
        text([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}])
        + text([{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}, "b", 5])
        + STOP,
        [ReasoningDelta("hm"), TextDelta("a"), TextDelta("b"), Finish("stop")],
    ),
    "content as an object": (text({"a": 1}) + STOP, [TextDelta('{"a":1}'), Finish("stop")]),
    "reasoning_content": (
        chunk({"content": None, "reasoning_content": "hm"}) + chunk({"content": "a", "reasoning_content": None}) + STOP,
        [ReasoningDelta("hm"), TextDelta("a"), Finish("stop")],
    ),
    "reasoning": (
        chunk({"reasoning": "hm"}) + text("a") + STOP,
        [ReasoningDelta("hm"), TextDelta("a"), Finish("stop")],
    ),
    "reasoning and the same in details": (
        chunk({"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}) + STOP,
        [ReasoningDelta("hm"), Finish("stop")],
    ),
    "reasoning in details only": (
        chunk({"reasoning_details": [{"text": "hm"}, {"summary": "so"}, {"text": 5}, "x"], "content": ""}) + STOP,
        [ReasoningDelta("hm"), ReasoningDelta("so"), Finish("stop")],
    ),
    "proofs of Anthropic's models": (
        chunk({"reasoning_details": [{"text": "hm", "signature": "s", "format": "anthropic-claude-v1"}]})
        + chunk({"reasoning_details": [{"data": "r", "format": "anthropic-claude-v1"}]})
        + STOP,
        [ReasoningDelta("hm", "s"), ReasoningDelta("", None, "r"), Finish("stop")],
    ),
    "proofs of others": (
        chunk({"reasoning_details": [{"data": "r", "format": "openai-responses-v1"}]}) + text("a") + STOP,
        [TextDelta("a"), Finish("stop")],
    ),
    "a tool call": (
        FIRST
        + calls(call(index=0, id="a"))
        + calls(more('{"x"', index=0))
        + calls(more("", index=0))
        + calls(more(":1}", index=0))
        + chunk(finish="tool_calls"),
        [
            ToolCallDelta(0, "a", "f"),
            ToolCallDelta(0, arguments='{"x"'),
            ToolCallDelta(0, arguments=":1}"),
            Finish("tool_calls"),
        ],
    ),
    "text, then two calls that begin together": (
        text("Let me see")
        + calls(call(index=0, id="a"), call("[]", index=1, id="b"))
        + calls(more("{}", index=0), finish="tool_calls"),
        [
            TextDelta("Let me see"),
            ToolCallDelta(0, "a", "f"),
            ToolCallDelta(1, "b", "f", "[]"),
            ToolCallDelta(0, arguments="{}"),
            Finish("tool_calls"),
        ],
    ),
    "calls null or empty": (
        chunk({"content": "a", "tool_calls": None}) + chunk({"content": "b", "tool_calls": []}) + STOP,
        [TextDelta("a"), TextDelta("b"), Finish("stop")],
    ),
    "a legacy function call": (
        chunk({"content": None, "function_call": {"name": "f", "arguments": ""}})
        + chunk({"function_call": {"arguments": "{}"}})
        + chunk(finish="function_call"),
        [ToolCallDelta(0, None, "f"), ToolCallDelta(0, arguments="{}"), Finish("tool_calls")],
    ),
    "an empty legacy function call beside text": (
        chunk({"content": "a", "function_call": {"name": "", "arguments": ""}, "tool_calls": None}) + STOP,
        [TextDelta("a"), Finish("stop")],
    ),
}

# --- tool calls -------------------------------------------------------------------------------------------------------

BOTH = [ToolCallDelta(0, "a", "f"), ToolCallDelta(0, arguments="{}")]

TOOL_CALLS: dict[str, tuple[list[bytes], list[ToolCallDelta]]] = {
    "as the reference has it": ([calls(call(index=0, id="a")), calls(more("{}", index=0))], BOTH),
    "the id and the name again with every fragment": (
        [calls(call(index=0, id="a")), calls(call("{}", index=0, id="a"))],
        BOTH,
    ),
    "another id with every fragment": ([calls(call(index=0, id="a")), calls(more("{}", index=0, id="b"))], BOTH),
    "an empty id and name in later fragments": (
        [calls(call(index=0, id="a")), calls({"index": 0, "id": "", "function": {"name": "", "arguments": "{}"}})],
        BOTH,
    ),
    "an index that begins at 1": ([calls(call(index=1, id="a")), calls(more("{}", index=1))], BOTH),
    "no index": (
        [calls(call(id="a")), calls(more("{}")), calls(call(id="b")), calls(more("[]"))],
        [*BOTH, ToolCallDelta(1, "b", "f"), ToolCallDelta(1, arguments="[]")],
    ),
    "no index, the id again": (
        [calls(call(id="a"), call("[]", id="b")), calls(more("{}", id="a"))],
        [BOTH[0], ToolCallDelta(1, "b", "f", "[]"), BOTH[1]],
    ),
    "no index, another id with every fragment": ([calls(call(id="a")), calls(more("{}", id="b"))], BOTH),
    "no index, no id": (
        [calls(call("{}"), call("[]"))],
        [ToolCallDelta(0, None, "f", "{}"), ToolCallDelta(1, None, "f", "[]")],
    ),
    "one index for all": (
        [calls(call("{}", index=0, id="a")), calls(call("[]", index=0, id="b"))],
        [ToolCallDelta(0, "a", "f", "{}"), ToolCallDelta(1, "b", "f", "[]")],
    ),
    "one index for all, no ids": (
        [calls(call("{}", index=0, id=""), named("g", "{}", index=0)), calls(named("g", "[]", index=0))],
        [ToolCallDelta(0, None, "f", "{}"), ToolCallDelta(1, None, "g", "{}"), ToolCallDelta(2, None, "g", "[]")],
    ),
    "no id, and the name again with every fragment": (
        [calls(call("{", index=0)), calls(call("}", index=0)), calls(call("", index=0))],
        [ToolCallDelta(0, None, "f", "{"), ToolCallDelta(0, arguments="}")],
    ),
    "one id for all": (
        [calls(call("{}", index=0, id="0")), calls(named("g", "[]", index=1, id="0"))],
        [ToolCallDelta(0, None, "f", "{}"), ToolCallDelta(1, None, "g", "[]")],
    ),
    "no list": (
        [chunk({"tool_calls": call("{", index=0, id="")}), chunk({"tool_calls": more("}", index=0, id="")})],
        [ToolCallDelta(0, None, "f", "{"), ToolCallDelta(0, arguments="}")],
    ),
    "the name late": (
        [calls(more("{", index=0, id="a")), calls(call("}", index=0))],
        [ToolCallDelta(0, "a", "f", "{}")],
    ),
    "the name never": ([calls(more("{}", index=0, id="a"))], [ToolCallDelta(0, "a", "", "{}")]),
    "arguments missing": ([calls({"index": 0, "id": "a", "function": {"name": "f"}})], BOTH),
    "arguments null": ([calls(call(None, index=0, id="a"))], BOTH),
    "arguments blank": ([calls(call("", index=0, id="a")), calls(more("", index=0)), calls(more(None, index=0))], BOTH),
    "arguments as an object": (
        [calls(call(index=0, id="a")), calls(more({"x": 1}, index=0))],
        [BOTH[0], ToolCallDelta(0, arguments='{"x":1}')],
    ),
    "what is no call": (
        [calls(call(index=0, id="a"), "x", None, 5), calls({"index": 0}), calls(more("{}", index=0))],
        BOTH,
    ),
}


@pytest.mark.parametrize("name", CONTENT)
def test_decoder_reads(name: str) -> None:
    stream, expected = CONTENT[name]
    events, progress = decode(stream + DONE)
    assert events[0] == START or events.pop(0) == Start(None, None)
    assert [found for found in events if type(found) is not Start] == expected
    assert progress.complete
    assert progress.content
    assert progress.finish == expected[-1].reason  # type: ignore[union-attr]


@pytest.mark.parametrize("name", TOOL_CALLS)
def test_decoder_finds_out_which_call_a_fragment_belongs_to(name: str) -> None:
    pieces, expected = TOOL_CALLS[name]
    events, progress = decode(*pieces, chunk(finish="tool_calls"), DONE)
    assert events == [START, *expected, Finish("tool_calls")]
    assert progress.tool_call_id == (expected[0].id or "")


@pytest.mark.parametrize("name", [*CONTENT, *TOOL_CALLS])
def test_watch_passes_every_byte_and_knows_what_the_decoder_knows(name: str) -> None:
    stream = CONTENT[name][0] if name in CONTENT else b"".join(TOOL_CALLS[name][0]) + chunk(finish="tool_calls")
    passed, progress = watch(stream + DONE)
    assert passed == stream + DONE
    decoded = decode(stream + DONE)[1]
    assert progress == msgspec.structs.replace(decoded, model=progress.model)


def test_half_a_character_breaks_nothing() -> None:
    stream = text("a?").replace(b"?", rb"\ud83d") + text("?b").replace(b"?", rb"\ude42") + STOP + DONE
    assert decode(stream)[0] == [START, TextDelta("a\ufffd"), TextDelta("\ufffdb"), Finish("stop")]
    assert watch(stream)[0] == stream
