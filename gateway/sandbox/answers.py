"""What the sandbox says: one pure function from a chat to its answer."""

from __future__ import annotations

import re
from typing import Any, Literal

from gateway.sandbox.designate import designate
from gateway.sandbox.sample import sample
from gateway.sandbox.wire import Call, Chat, Function, Message, Reply, Tool, Usage, encode

NOTE = "This is the sandbox provider, no model was called."
#: Characters of a question or of a tool's result that are repeated.
_ECHO = 300

#: A token is a word with the space after it.
_tokens = re.compile(r"\S+\s*").findall
_names = re.compile(r"[\w.-]+").findall


def answer(chat: Chat, key: str) -> Reply:
    """The answer to ``chat``; ``key`` makes the ids of answer and tool calls, so it should differ between requests."""
    calls = _calls(chat, key)
    text = [] if calls else _tokens(_text(chat))
    finish: Literal["stop", "length", "tool_calls"] = "tool_calls" if calls else "stop"
    limit = chat.max_completion_tokens if chat.max_completion_tokens is not None else chat.max_tokens
    if limit is not None and 0 <= limit < len(text):
        text = text[:limit]
        finish = "length"
    read = sum(len(message.text.split()) for message in chat.messages)
    written = len(text) + sum(1 + len(_tokens(call.arguments)) for call in calls)
    return Reply(f"chatcmpl-{key}", chat.model, text, calls, finish, Usage(read, written, read + written))


def _text(chat: Chat) -> str:
    messages = chat.messages
    style = chat.response_format.type if chat.response_format is not None else "text"
    if len(messages) == 2 and messages[0].role == "system" and messages[1].role == "user":
        slug = designate(messages[0].text, messages[1].text)
        if slug is not None:
            return slug if style == "text" else _json({"candidate": slug})
    ask = _latest(messages, "user")
    if style == "json_schema" and chat.response_format is not None and chat.response_format.json_schema is not None:
        return _json(sample(chat.response_format.json_schema.schema))
    if style != "text":
        return _json({"sandbox": chat.model, "note": NOTE, "asked": ask[:_ECHO]})
    if _answers_a_tool(messages):
        return f"[sandbox/{chat.model}] {NOTE} The tool answered: {_latest(messages, 'tool')[:_ECHO]}"
    return f"[sandbox/{chat.model}] {NOTE} You asked: {ask[:_ECHO]}"


def _calls(chat: Chat, key: str) -> list[Call]:
    if not chat.tools or chat.tool_choice == "none" or _answers_a_tool(chat.messages):
        return []
    declared = {tool.function.name: tool.function for tool in chat.tools}
    choice = chat.tool_choice
    if isinstance(choice, Tool):
        called = [declared.get(choice.function.name, choice.function)]
    else:
        mentioned = set(_names(_latest(chat.messages, "user")))
        called = [function for name, function in declared.items() if name in mentioned]
        if choice == "required" and not called:
            called = [chat.tools[0].function]
    return [Call(f"call_{key}_{index}", function.name, _arguments(function)) for index, function in enumerate(called)]


def _arguments(function: Function) -> str:
    value = sample(function.parameters)
    return _json(value if isinstance(value, dict) else {})


def _answers_a_tool(messages: list[Message]) -> bool:
    return bool(messages) and messages[-1].role == "tool"


def _latest(messages: list[Message], role: str) -> str:
    return next((message.text for message in reversed(messages) if message.role == role), "")


def _json(value: Any) -> str:
    return encode(value).decode()
