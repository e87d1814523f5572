"""The providers' side: each wire as its servers read requests and write answers.

Only what the protocols' references say; nothing of the gateway's own code.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from tests.matrix.said import Ask, Assistant, Call, Reply, Result, Tool, Turn, User, names

MODEL = "m"


class Provider(ABC):
    """One wire. Streams are lists of events, so that a test can cut them off or put something in between."""

    wire: ClassVar[str]
    tells_cache: ClassVar[bool] = True
    stream_type: ClassVar[str] = "text/event-stream"
    #: How many events of a stream come after its content.
    ending: ClassVar[int] = 3

    @abstractmethod
    def read(self, body: Any) -> Ask:
        """What a request asks."""

    @abstractmethod
    def whole(self, reply: Reply) -> bytes:
        """A whole answer."""

    @abstractmethod
    def stream(self, reply: Reply) -> list[bytes]:
        """The events of a streamed answer; text, thoughts and arguments come in several pieces."""

    def begun(self, reply: Reply) -> bytes:
        """A stream that has all its content, but not its end."""
        return b"".join(self.stream(reply)[: -self.ending])

    @abstractmethod
    def error(self, message: str, kind: str) -> bytes:
        """The body of an error; ``kind`` is the wire's own word for it, where it has one."""

    @abstractmethod
    def failure(self, message: str) -> bytes:
        """An error inside a stream."""


def pieces(text: str) -> Iterator[str]:
    """``text`` in pieces of three characters."""
    return (text[start : start + 3] for start in range(0, len(text), 3))


class OpenAI(Provider):
    wire = "openai"

    def read(self, body: Any) -> Ask:
        assert body["model"] == MODEL
        if body.get("stream"):
            assert body["stream_options"] == {"include_usage": True}
        turns: list[Turn] = []
        system = ""
        for message in body["messages"]:
            content = message.get("content")
            match message["role"]:
                case "system":
                    assert not turns
                    system = content
                case "user" if isinstance(content, str):
                    turns.append(User(content))
                case "user":
                    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
                    text = "".join(part["text"] for part in content if part["type"] == "text")
                    turns.append(User(text, tuple(url.removeprefix("data:image/png;base64,") for url in urls)))
                case "assistant":
                    calls = [(call["id"], call["function"]) for call in message.get("tool_calls") or ()]
                    made = tuple(Call(id, it["name"], json.loads(it["arguments"])) for id, it in calls)
                    turns.append(Assistant(content or "", made))
                case role:
                    assert role == "tool"
                    id = message["tool_call_id"]
                    turns.append(Result(id, names(turns)[id], content))
        functions = [tool["function"] for tool in body.get("tools") or () if tool["type"] == "function"]
        return Ask(
            tuple(turns),
            system,
            tuple(Tool(it["name"], it["description"], it["parameters"]) for it in functions),
            body["max_tokens"],
            tuple(body.get("stop") or ()),
            body.get("temperature"),
        )

    def whole(self, reply: Reply) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if reply.thinking:
            message["reasoning_content"] = reply.thinking
        if reply.calls:
            message["tool_calls"] = [_call(call) for call in reply.calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _OPENAI_FINISH[reply.stop]}
        return _json({**_CHAT, "object": "chat.completion", "choices": [choice], "usage": _openai_usage(reply)})

    def stream(self, reply: Reply) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
        deltas += [{"reasoning_content": piece} for piece in pieces(reply.thinking)]
        deltas += [{"content": piece} for piece in pieces(reply.text)]
        for index, call in enumerate(reply.calls):
            whole = _call(call)
            arguments = whole["function"]["arguments"]
            begun = {**whole, "index": index, "function": {"name": call.name, "arguments": ""}}
            deltas.append({"tool_calls": [begun]})
            parts = [{"index": index, "function": {"arguments": piece}} for piece in pieces(arguments)]
            deltas += [{"tool_calls": [part]} for part in parts]
        chunks: list[dict[str, Any]] = [{"choices": [_choice(delta, None)], "usage": None} for delta in deltas]
        chunks.append({"choices": [_choice({}, _OPENAI_FINISH[reply.stop])], "usage": None})
        chunks.append({"choices": [], "usage": _openai_usage(reply)})
        told = [{**_CHAT, "object": "chat.completion.chunk", **chunk} for chunk in chunks]
        return [*(b"data: " + _json(each) + b"\n\n" for each in told), b"data: [DONE]\n\n"]

    def error(self, message: str, kind: str) -> bytes:
        return _json({"error": {"message": message, "type": kind, "param": None, "code": None}})

    def failure(self, message: str) -> bytes:
        return b"data: " + self.error(message, "server_error") + b"\n\n"


_CHAT = {"id": "chatcmpl-1", "created": 1_767_225_600, "model": "m-2026", "system_fingerprint": "fp_1"}
_OPENAI_FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls"}


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _openai_usage(reply: Reply) -> dict[str, Any]:
    input, output = reply.input or 0, reply.output or 0
    usage: dict[str, Any] = {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}
    return usage if reply.cached is None else {**usage, "prompt_tokens_details": {"cached_tokens": reply.cached}}


class Anthropic(Provider):
    wire = "anthropic"

    def read(self, body: Any) -> Ask:
        assert body["model"] == MODEL
        turns: list[Turn] = []
        before = "assistant"
        for message in body["messages"]:
            # The API wants user and assistant by turns, and the user first.
            assert message["role"] != before
            before = message["role"]
            content = message["content"]
            blocks: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
            text = "".join(block["text"] for block in blocks if block["type"] == "text")
            if before == "assistant":
                uses = (block for block in blocks if block["type"] == "tool_use")
                turns.append(Assistant(text, tuple(Call(it["id"], it["name"], it["input"]) for it in uses)))
                continue
            results = [block for block in blocks if block["type"] == "tool_result"]
            assert results == blocks[: len(results)]
            known = names(turns)
            turns += [Result(it["tool_use_id"], known[it["tool_use_id"]], it["content"]) for it in results]
            sources = [block["source"] for block in blocks if block["type"] == "image"]
            assert all((it["type"], it["media_type"]) == ("base64", "image/png") for it in sources)
            if text or sources:
                turns.append(User(text, tuple(it["data"] for it in sources)))
        system = body.get("system", "")
        return Ask(
            tuple(turns),
            system if isinstance(system, str) else "".join(block["text"] for block in system),
            tuple(Tool(it["name"], it["description"], it["input_schema"]) for it in body.get("tools") or ()),
            body["max_tokens"],
            tuple(body.get("stop_sequences") or ()),
            body.get("temperature"),
        )

    def whole(self, reply: Reply) -> bytes:
        stop = {"stop_reason": _STOP_REASON[reply.stop], "stop_sequence": None}
        return _json({**_MESSAGE, "content": _blocks(reply), **stop, "usage": _usage(reply)})

    def stream(self, reply: Reply) -> list[bytes]:
        usage = {**_usage(reply), "output_tokens": 1}
        start: dict[str, Any] = {**_MESSAGE, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        told: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
        for index, block in enumerate(_blocks(reply)):
            empty: dict[str, Any]
            match block["type"]:
                case "text":
                    empty, deltas = {"text": ""}, [_delta("text_delta", text=it) for it in pieces(block["text"])]
                case "thinking":
                    empty = {"thinking": "", "signature": ""}
                    deltas = [_delta("thinking_delta", thinking=it) for it in pieces(block["thinking"])]
                    deltas.append(_delta("signature_delta", signature=block["signature"]))
                case _:
                    empty = {"input": {}}
                    arguments = json.dumps(block["input"])
                    deltas = [_delta("input_json_delta", partial_json=it) for it in ("", *pieces(arguments))]
            told.append({"type": "content_block_start", "index": index, "content_block": {**block, **empty}})
            told += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            told.append({"type": "content_block_stop", "index": index})
        stop = {"stop_reason": _STOP_REASON[reply.stop], "stop_sequence": None}
        told.append({"type": "message_delta", "delta": stop, "usage": {"output_tokens": reply.output}})
        told.append({"type": "message_stop"})
        return [b"event: %b\ndata: %b\n\n" % (each["type"].encode(), _json(each)) for each in told]

    def error(self, message: str, kind: str) -> bytes:
        return _json({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})

    def failure(self, message: str) -> bytes:
        return b"event: error\ndata: " + self.error(message, "api_error") + b"\n\n"


_MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-2026"}
_STOP_REASON = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}


def _delta(kind: str, **field: str) -> dict[str, str]:
    return {"type": kind, **field}


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.thinking:
        blocks.append({"type": "thinking", "thinking": reply.thinking, "signature": "c2lnbmVk"})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    uses = [{"type": "tool_use", "id": it.id, "name": it.name, "input": it.arguments} for it in reply.calls]
    return blocks + uses


def _usage(reply: Reply) -> dict[str, Any]:
    usage = {"input_tokens": (reply.input or 0) - (reply.cached or 0), "output_tokens": reply.output}
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": reply.cached}
    return usage if reply.cached is None else {**usage, **cache}


class Ollama(Provider):
    wire = "ollama"
    tells_cache = False
    stream_type = "application/x-ndjson"
    ending = 1

    def read(self, body: Any) -> Ask:
        assert body["model"] == MODEL
        if "prompt" in body:
            turns: list[Turn] = [User(body["prompt"], tuple(body.get("images") or ()))]
            return _with_settings(Ask(tuple(turns), body.get("system", "")), body)
        turns = []
        system = ""
        #: Ids that are not told: a call is known by its place, and its result by the tool's name.
        open_calls: list[Call] = []
        for number, message in enumerate(body["messages"]):
            content = message["content"]
            match message["role"]:
                case "system":
                    assert not turns
                    system = content
                case "user":
                    turns.append(User(content, tuple(message.get("images") or ())))
                case "assistant":
                    made = message.get("tool_calls") or ()
                    open_calls = [
                        Call(f"{number}.{place}", it["function"]["name"], it["function"]["arguments"])
                        for place, it in enumerate(made)
                    ]
                    turns.append(Assistant(content, tuple(open_calls)))
                case role:
                    assert role == "tool"
                    name = message["tool_name"]
                    answered = next(call for call in open_calls if call.name == name)
                    open_calls.remove(answered)
                    turns.append(Result(answered.id, name, content))
        return _with_settings(Ask(tuple(turns), system), body)

    def whole(self, reply: Reply) -> bytes:
        return _go({**_LINE, "message": _message(reply), **_done(reply)})

    def stream(self, reply: Reply) -> list[bytes]:
        said = [Reply(thinking=it) for it in pieces(reply.thinking)] + [Reply(it) for it in pieces(reply.text)]
        said += [Reply(calls=(call,)) for call in reply.calls]
        lines: list[dict[str, Any]] = [{**_LINE, "message": _message(piece), "done": False} for piece in said]
        lines.append({**_LINE, "message": _message(Reply()), **_done(reply)})
        return [_go(line) + b"\n" for line in lines]

    def error(self, message: str, kind: str) -> bytes:
        return _go({"error": message})

    def failure(self, message: str) -> bytes:
        return self.error(message, "") + b"\n"


class OllamaGenerate(Ollama):
    """The same server, asked at ``/api/generate``."""

    def whole(self, reply: Reply) -> bytes:
        return _go({**_LINE, "response": reply.text, "thinking": reply.thinking, **_done(reply)})

    def stream(self, reply: Reply) -> list[bytes]:
        said = [{"response": "", "thinking": it} for it in pieces(reply.thinking)]
        said += [{"response": it} for it in pieces(reply.text)]
        lines: list[dict[str, Any]] = [{**_LINE, **piece, "done": False} for piece in said]
        lines.append({**_LINE, "response": "", **_done(reply)})
        return [_go(line) + b"\n" for line in lines]


_LINE = {"model": "m-2026", "created_at": "2026-01-01T00:00:00Z"}


def _message(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.thinking:
        message["thinking"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = [
            {"id": it.id, "function": {"index": place, "name": it.name, "arguments": it.arguments}}
            for place, it in enumerate(reply.calls)
        ]
    return message


def _done(reply: Reply) -> dict[str, Any]:
    reason = "length" if reply.stop == "length" else "stop"
    counts = {"prompt_eval_count": reply.input, "eval_count": reply.output}
    return {"done": True, "done_reason": reason, "total_duration": 5_000_000, **counts}


def _with_settings(ask: Ask, body: Any) -> Ask:
    functions = [tool["function"] for tool in body.get("tools") or ()]
    options = body["options"]
    return Ask(
        ask.turns,
        ask.system,
        tuple(Tool(it["name"], it["description"], it["parameters"]) for it in functions),
        options["num_predict"],
        tuple(options.get("stop") or ()),
        options.get("temperature"),
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _go(value: Any) -> bytes:
    # Go escapes these two, and Ollama's clients count on it.
    return _json(value).replace("\u2028".encode(), rb"\u2028").replace("\u2029".encode(), rb"\u2029")


PROVIDERS: tuple[Provider, ...] = (OpenAI(), Anthropic(), Ollama())
