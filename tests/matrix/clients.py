"""The clients' side: each dialect as its users write requests and read answers.

Only what the protocols' references say; nothing of the gateway's own code.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from tests.matrix.said import Ask, Assistant, Call, Reply, Result, Stop, User


class Client(ABC):
    """One dialect. ``can`` holds what a scenario may demand of it."""

    dialect: ClassVar[str]
    wire: ClassVar[str] = ""
    can: ClassVar[frozenset[str]] = frozenset({"turns", "tools", "images", "system", "thinking"})
    #: Whether usage tells what was read from a cache.
    tells_cache: ClassVar[bool] = True
    stream_type: ClassVar[str] = "text/event-stream"

    @abstractmethod
    def write(self, ask: Ask) -> dict[str, Any]:
        """The request's fields but for ``model`` and ``stream``."""

    @abstractmethod
    def hear(self, body: bytes) -> Reply:
        """A whole answer."""

    @abstractmethod
    def listen(self, stream: bytes) -> Reply:
        """A whole stream; one without its proper end fails the test."""

    @abstractmethod
    def error(self, body: bytes) -> tuple[str, str]:
        """Kind and message of an error; no kind where the dialect has none."""

    @abstractmethod
    def broken(self, stream: bytes) -> tuple[str, str]:
        """The text that came before an in-band error, and the error's message; a proper end fails the test."""


def events(stream: bytes) -> list[Any]:
    """Server-sent events of one data line each, decoded; the data itself where it is not JSON."""
    found: list[Any] = []
    for event in stream.decode().split("\n\n"):
        for line in event.split("\n"):
            if line.startswith("data: "):
                data = line[len("data: ") :]
                found.append(json.loads(data) if data.startswith("{") else data)
    return found


class OpenAI(Client):
    dialect = "openai"
    wire = "openai"

    def write(self, ask: Ask) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "system", "content": ask.system}] if ask.system else []
        for turn in ask.turns:
            match turn:
                case User(text, ()):
                    messages.append({"role": "user", "content": text})
                case User(text, images):
                    urls = [{"url": f"data:image/png;base64,{data}"} for data in images]
                    pictures = [{"type": "image_url", "image_url": url} for url in urls]
                    messages.append({"role": "user", "content": [{"type": "text", "text": text}, *pictures]})
                case Assistant(text, ()):
                    messages.append({"role": "assistant", "content": text})
                case Assistant(text, calls):
                    wished = [
                        {
                            "id": call.id,
                            "type": "function",
                            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                        }
                        for call in calls
                    ]
                    messages.append({"role": "assistant", "content": text or None, "tool_calls": wished})
                case Result(id, _, text):
                    messages.append({"role": "tool", "tool_call_id": id, "content": text})
        fields: dict[str, Any] = {"messages": messages, "max_tokens": ask.max_tokens}
        if ask.tools:
            functions = [{"name": it.name, "description": it.description, "parameters": it.schema} for it in ask.tools]
            fields["tools"] = [{"type": "function", "function": function} for function in functions]
        if ask.stop:
            fields["stop"] = list(ask.stop)
        if ask.temperature is not None:
            fields["temperature"] = ask.temperature
        return {**fields, "stream_options": {"include_usage": True}}

    def hear(self, body: bytes) -> Reply:
        told = json.loads(body)
        assert told["object"] == "chat.completion"
        (choice,) = told["choices"]
        message = choice["message"]
        calls = [(call["id"], call["function"]) for call in message.get("tool_calls") or ()]
        return Reply(
            message["content"] or "",
            message.get("reasoning_content") or "",
            tuple(Call(id, function["name"], json.loads(function["arguments"])) for id, function in calls),
            _OPENAI_STOP[choice["finish_reason"]],
            *_openai_usage(told["usage"]),
        )

    def listen(self, stream: bytes) -> Reply:
        *told, done = events(stream)
        assert done == "[DONE]"
        assert len({(each["id"], each["model"], each["object"]) for each in told}) == 1
        text = thinking = ""
        calls: dict[int, dict[str, str]] = {}
        stops: list[Stop] = []
        for chunk in told:
            for choice in chunk["choices"]:
                delta = choice["delta"]
                text += delta.get("content") or ""
                thinking += delta.get("reasoning_content") or ""
                for part in delta.get("tool_calls") or ():
                    function = part["function"]
                    call = calls.setdefault(part["index"], {"id": part.get("id", ""), "arguments": "", **function})
                    if "id" not in part:
                        call["arguments"] += function["arguments"]
                if choice["finish_reason"] is not None:
                    stops.append(_OPENAI_STOP[choice["finish_reason"]])
        (stop,) = stops
        (usage,) = (chunk["usage"] for chunk in told if chunk.get("usage"))
        assert told[-1]["choices"] == []
        return Reply(
            text,
            thinking,
            tuple(Call(it["id"], it["name"], json.loads(it["arguments"])) for it in calls.values()),
            stop,
            *_openai_usage(usage),
        )

    def error(self, body: bytes) -> tuple[str, str]:
        told = json.loads(body)["error"]
        return told["type"], told["message"]

    def broken(self, stream: bytes) -> tuple[str, str]:
        *told, error = events(stream)
        text = "".join(choice["delta"].get("content") or "" for chunk in told for choice in chunk["choices"])
        return text, error["error"]["message"]


_OPENAI_STOP: dict[str, Stop] = {"stop": "stop", "length": "length", "tool_calls": "tools"}


def _openai_usage(usage: dict[str, Any]) -> tuple[int, int, int | None]:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return usage["prompt_tokens"], usage["completion_tokens"], cached


class Completions(Client):
    dialect = "openai.completions"
    can = frozenset()

    def write(self, ask: Ask) -> dict[str, Any]:
        (turn,) = ask.turns
        assert isinstance(turn, User)
        fields: dict[str, Any] = {"prompt": turn.text, "max_tokens": ask.max_tokens, "stop": list(ask.stop) or None}
        return {**fields, "temperature": ask.temperature, "stream_options": {"include_usage": True}}

    def hear(self, body: bytes) -> Reply:
        told = json.loads(body)
        assert told["object"] == "text_completion"
        (choice,) = told["choices"]
        return Reply(choice["text"], "", (), _OPENAI_STOP[choice["finish_reason"]], *_openai_usage(told["usage"]))

    def listen(self, stream: bytes) -> Reply:
        *told, done = events(stream)
        assert done == "[DONE]"
        choices = [choice for chunk in told for choice in chunk["choices"]]
        (stop,) = (_OPENAI_STOP[choice["finish_reason"]] for choice in choices if choice["finish_reason"])
        return Reply("".join(it["text"] for it in choices), "", (), stop, *_openai_usage(told[-1]["usage"]))

    def error(self, body: bytes) -> tuple[str, str]:
        return OpenAI().error(body)

    def broken(self, stream: bytes) -> tuple[str, str]:
        *told, error = events(stream)
        return "".join(it["text"] for chunk in told for it in chunk["choices"]), error["error"]["message"]


class Anthropic(Client):
    dialect = "anthropic"
    wire = "anthropic"

    def write(self, ask: Ask) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        for turn in ask.turns:
            role, blocks = _blocks(turn)
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": role, "content": blocks})
        fields: dict[str, Any] = {"messages": messages, "max_tokens": ask.max_tokens}
        if ask.system:
            fields["system"] = ask.system
        if ask.tools:
            fields["tools"] = [
                {"name": it.name, "description": it.description, "input_schema": it.schema} for it in ask.tools
            ]
        if ask.stop:
            fields["stop_sequences"] = list(ask.stop)
        if ask.temperature is not None:
            fields["temperature"] = ask.temperature
        return fields

    def hear(self, body: bytes) -> Reply:
        told = json.loads(body)
        assert (told["type"], told["role"]) == ("message", "assistant")
        return _reply(told["content"], told["stop_reason"], told["usage"])

    def listen(self, stream: bytes) -> Reply:
        start, *told, delta, stop = (each for each in events(stream) if each["type"] != "ping")
        assert (start["type"], delta["type"], stop["type"]) == ("message_start", "message_delta", "message_stop")
        blocks: list[dict[str, Any]] = []
        is_open = False
        for event in told:
            match event["type"]:
                case "content_block_start":
                    assert not is_open
                    assert event["index"] == len(blocks)
                    blocks.append({**event["content_block"], "json": ""})
                    is_open = True
                case "content_block_delta":
                    assert event["index"] == len(blocks) - 1
                    field, value = _added(event["delta"])
                    blocks[-1][field] += value
                case _:
                    assert event == {"type": "content_block_stop", "index": len(blocks) - 1}
                    is_open = False
        assert not is_open
        for block in blocks:
            if block["json"]:
                block["input"] = json.loads(block["json"])
        return _reply(blocks, delta["delta"]["stop_reason"], {**start["message"]["usage"], **delta["usage"]})

    def error(self, body: bytes) -> tuple[str, str]:
        told = json.loads(body)
        assert told["type"] == "error"
        return told["error"]["type"], told["error"]["message"]

    def broken(self, stream: bytes) -> tuple[str, str]:
        *told, error = events(stream)
        assert error["type"] == "error"
        return "".join(each["delta"]["text"] for each in told if "delta" in each), error["error"]["message"]


def _blocks(turn: User | Assistant | Result) -> tuple[str, list[dict[str, Any]]]:
    match turn:
        case User(text, images):
            sources = [{"type": "base64", "media_type": "image/png", "data": data} for data in images]
            pictures = [{"type": "image", "source": source} for source in sources]
            return "user", [{"type": "text", "text": text}, *pictures]
        case Assistant(text, calls):
            said = [{"type": "text", "text": text}] if text else []
            uses = [{"type": "tool_use", "id": it.id, "name": it.name, "input": it.arguments} for it in calls]
            return "assistant", [*said, *uses]
        case Result(id, _, text):
            return "user", [{"type": "tool_result", "tool_use_id": id, "content": text}]


def _added(delta: dict[str, Any]) -> tuple[str, str]:
    match delta:
        case {"type": "text_delta", "text": str(text)}:
            return "text", text
        case {"type": "thinking_delta", "thinking": str(text)}:
            return "thinking", text
        case {"type": "signature_delta", "signature": str(text)}:
            return "signature", text
        case _:
            assert delta["type"] == "input_json_delta"
            return "json", delta["partial_json"]


def _reply(blocks: list[dict[str, Any]], stop_reason: str, usage: dict[str, Any]) -> Reply:
    stops: dict[str, Stop] = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tools"}
    cached = usage.get("cache_read_input_tokens")
    return Reply(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        tuple(Call(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"),
        stops[stop_reason],
        usage["input_tokens"] + (cached or 0),
        usage["output_tokens"],
        cached,
    )


class Ollama(Client):
    dialect = "ollama"
    wire = "ollama"
    tells_cache = False
    stream_type = "application/x-ndjson"

    def write(self, ask: Ask) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "system", "content": ask.system}] if ask.system else []
        for turn in ask.turns:
            match turn:
                case User(text, images):
                    more = {"images": list(images)} if images else {}
                    messages.append({"role": "user", "content": text, **more})
                case Assistant(text, calls):
                    # Ollama's own clients send no ids.
                    functions = [{"function": {"name": it.name, "arguments": it.arguments}} for it in calls]
                    messages.append({"role": "assistant", "content": text, "tool_calls": functions})
                case Result(_, name, text):
                    messages.append({"role": "tool", "content": text, "tool_name": name})
        fields: dict[str, Any] = {"messages": messages, "options": _options(ask)}
        if ask.tools:
            fields["tools"] = [
                {
                    "type": "function",
                    "function": {"name": it.name, "description": it.description, "parameters": it.schema},
                }
                for it in ask.tools
            ]
        return fields

    def hear(self, body: bytes) -> Reply:
        return self.listen(body)

    def listen(self, stream: bytes) -> Reply:
        lines = [json.loads(line) for line in stream.splitlines()]
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
        assert len({line["model"] for line in lines}) == 1
        pieces = [self._piece(line) for line in lines]
        calls = [call for piece in pieces for call in piece.get("tool_calls") or ()]
        last = lines[-1]
        stops: dict[str, Stop] = {"stop": "tools" if calls else "stop", "length": "length"}
        return Reply(
            "".join(piece["content"] for piece in pieces),
            "".join(piece.get("thinking") or "" for piece in pieces),
            tuple(Call(it.get("id", ""), it["function"]["name"], it["function"]["arguments"]) for it in calls),
            stops[last["done_reason"]],
            last.get("prompt_eval_count"),
            last.get("eval_count"),
        )

    def _piece(self, line: dict[str, Any]) -> dict[str, Any]:
        piece: dict[str, Any] = line["message"]
        assert piece["role"] == "assistant"
        return piece

    def error(self, body: bytes) -> tuple[str, str]:
        return "", json.loads(body)["error"]

    def broken(self, stream: bytes) -> tuple[str, str]:
        *told, error = (json.loads(line) for line in stream.splitlines())
        assert not any(line["done"] for line in told)
        return "".join(self._piece(line)["content"] for line in told), error["error"]


class Generate(Ollama):
    dialect = "ollama.generate"
    can = frozenset({"images", "system", "thinking"})

    def write(self, ask: Ask) -> dict[str, Any]:
        (turn,) = ask.turns
        assert isinstance(turn, User)
        return {"prompt": turn.text, "images": list(turn.images), "system": ask.system, "options": _options(ask)}

    def _piece(self, line: dict[str, Any]) -> dict[str, Any]:
        return {"content": line["response"], "thinking": line.get("thinking")}


def _options(ask: Ask) -> dict[str, Any]:
    options: dict[str, Any] = {"num_predict": ask.max_tokens}
    if ask.stop:
        options["stop"] = list(ask.stop)
    if ask.temperature is not None:
        options["temperature"] = ask.temperature
    return options


CLIENTS: tuple[Client, ...] = (OpenAI(), Completions(), Anthropic(), Ollama(), Generate())
