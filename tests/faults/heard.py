"""What a client understands of an answer: each dialect's own rules, written down a second time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.relaykit import Recorder


@dataclass
class Heard:
    """An answer as a client reads it."""

    text: str = ""
    #: The dialect's terminator came, or the answer is a whole one.
    complete: bool = False
    #: The error that came inside of the stream, or instead of an answer.
    error: Any = None
    #: Input and output tokens, as far as they were told.
    input: int | None = None
    output: int | None = None


def hear(dialect: str, got: Recorder) -> Heard:
    """Read an answer. What is not of its dialect fails the test."""
    heard = Heard()
    if got.headers["content-type"] == "application/json":
        _whole(dialect, json.loads(got.body), heard)
    elif dialect == "ollama":
        assert got.headers["content-type"] == "application/x-ndjson"
        for line in got.body.split(b"\n"):
            if line.strip():
                _ollama(json.loads(line), heard)
    else:
        assert got.headers["content-type"].partition(";")[0] == "text/event-stream"
        for data in events(got.body):
            if data == "[DONE]":
                assert dialect == "openai"
                heard.complete = True
                # Nobody reads on.
                break
            if dialect == "openai":
                _openai(json.loads(data), "delta", heard)
            elif data.strip():
                _anthropic(json.loads(data), heard)
    return heard


def events(stream: bytes) -> list[str]:
    """The data of a stream's whole server-sent events."""
    found: list[str] = []
    data: list[str] = []
    for line in re.split(r"\r\n|\n|\r", stream.decode().removeprefix("\ufeff")):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line:
            if data:
                found.append("\n".join(data))
            data = []
    return found


def _whole(dialect: str, body: Any, heard: Heard) -> None:
    if "error" in body:
        heard.error = body["error"]
    elif dialect == "openai":
        _openai(body, "message", heard)
        heard.complete = True
    elif dialect == "anthropic":
        heard.text = "".join(block["text"] for block in body["content"])
        _counts(heard, body["usage"], "input_tokens", "output_tokens")
        heard.complete = body["stop_reason"] is not None
    else:
        _ollama(body, heard)


def _openai(body: Any, where: str, heard: Heard) -> None:
    if "error" in body:
        heard.error = body["error"]
        return
    for choice in body["choices"]:
        heard.text += choice[where].get("content") or ""
    if isinstance(body.get("usage"), dict):
        _counts(heard, body["usage"], "prompt_tokens", "completion_tokens")


def _anthropic(body: Any, heard: Heard) -> None:
    match body["type"]:
        case "content_block_delta":
            heard.text += body["delta"].get("text", "")
        case "message_start":
            _counts(heard, body["message"]["usage"], "input_tokens", "output_tokens")
        case "message_delta":
            _counts(heard, body["usage"], "input_tokens", "output_tokens")
        case "message_stop":
            heard.complete = True
        case "error":
            heard.error = body["error"]


def _ollama(body: Any, heard: Heard) -> None:
    if "error" in body:
        heard.error = body["error"]
        return
    heard.text += body["message"]["content"]
    if body["done"]:
        heard.complete = True
        _counts(heard, body, "prompt_eval_count", "eval_count")


def _counts(heard: Heard, usage: Any, input: str, output: str) -> None:
    heard.input = usage.get(input, heard.input)
    heard.output = usage.get(output, heard.output)
