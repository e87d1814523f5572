"""A request's messages to the hub's (API reference, "Create chat completion", ``messages``)."""

from __future__ import annotations

from typing import Any

from gateway.chat import Audio, Document, Image, Message, Part, Role, Text, ToolCall, ToolResult
from gateway.errors import BadRequest
from gateway.wire.openai.calls import whole_call
from gateway.wire.openai.chunks import Delta
from gateway.wire.openai.content import said, thoughts

#: No conversation has more turns; a body with more is an attack on whoever walks through them.
MAX_MESSAGES = 10_000

#: The media type of a film that only the provider fetches.
VIDEO = "video/*"

_PLAIN: dict[str, Role] = {"user": "user", "system": "system", "developer": "system"}


def decode_messages(value: Any) -> tuple[Message, ...]:
    """The hub's messages. Raises BadRequest(invalid_messages), naming the part at fault."""
    if type(value) is not list or not value:
        raise _invalid("messages", "must be a list of at least one message")
    if len(value) > MAX_MESSAGES:
        raise _invalid("messages", f"must not hold more than {MAX_MESSAGES} messages")
    messages: list[Message] = []
    #: The names of the tools called so far, by the calls' ids: results on other wires need them.
    names: dict[str, str] = {}
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise _invalid(f"messages[{index}]", "must be an object")
        role, content = item.get("role"), item.get("content")
        if type(role) is not str:
            raise _invalid(f"messages[{index}].role", "must be a string")
        plain = _PLAIN.get(role)
        if plain is not None:
            parts = (Text(content),) if type(content) is str else tuple(_parts(content, f"messages[{index}].content"))
            messages.append(Message(plain, parts))
        elif role == "assistant":
            messages.append(Message("assistant", _assistant(item, f"messages[{index}]", names)))
        elif role in ("tool", "function"):
            messages.append(Message("tool", (_result(item, f"messages[{index}]", names),)))
        else:
            raise _invalid(f"messages[{index}].role", "must be system, developer, user, assistant or tool")
    return tuple(messages)


def _assistant(item: dict[str, Any], where: str, names: dict[str, str]) -> tuple[Part, ...]:
    content = item.get("content")
    if len(item) == 2 and type(content) is str:
        return (Text(content),)
    parts: list[Part] = list(
        thoughts(
            Delta(
                reasoning_content=item.get("reasoning_content"),
                reasoning=item.get("reasoning"),
                reasoning_details=item.get("reasoning_details"),
            )
        )
    )
    if content is None:
        refusal = item.get("refusal")
        if type(refusal) is str and refusal:
            parts.append(Text(refusal))
    elif type(content) is str:
        if content:
            parts.append(Text(content))
    else:
        parts.extend(_parts(content, f"{where}.content"))
    calls = _calls(item, where)
    names.update((call.id, call.name) for call in calls)
    parts.extend(calls)
    if content is None and not parts and not item.get("audio"):
        raise _invalid(f"{where}.content", "must be a string or a list of parts where there are no tool calls")
    return tuple(parts)


def _calls(item: dict[str, Any], where: str) -> list[ToolCall]:
    values = item.get("tool_calls")
    if values is None:
        legacy = item.get("function_call")
        if legacy is None:
            return []
        values, where = [legacy], f"{where}.function_call"
    elif type(values) is not list:
        raise _invalid(f"{where}.tool_calls", "must be a list")
    else:
        where = f"{where}.tool_calls"
    calls: list[ToolCall] = []
    for index, value in enumerate(values):
        call = whole_call(value)
        if call is None or not call.name:
            raise _invalid(f"{where}[{index}]", "must name the function that was called")
        calls.append(call)
    return calls


def _result(item: dict[str, Any], where: str, names: dict[str, str]) -> ToolResult:
    call_id, name, content = item.get("tool_call_id"), item.get("name"), item.get("content")
    if call_id is None and item["role"] == "function":
        call_id, content = "", content or ""
        if type(name) is not str or not name:
            raise _invalid(f"{where}.name", "must name the function that was called")
    if type(call_id) is not str or (not call_id and item["role"] == "tool"):
        raise _invalid(f"{where}.tool_call_id", "must be the id of the tool call")
    parts = [Text(content)] if type(content) is str else _parts(content, f"{where}.content")
    kept = tuple(part for part in parts if isinstance(part, Text | Image | Document))
    return ToolResult(call_id, kept, name if type(name) is str and name else names.get(call_id))


# --- parts ------------------------------------------------------------------------------------------------------------


def _parts(content: Any, where: str) -> list[Part]:
    if type(content) is not list:
        raise _invalid(where, "must be a string or a list of parts")
    parts: list[Part] = []
    for index, item in enumerate(content):
        if type(item) is not dict:
            raise _invalid(f"{where}[{index}]", "must be an object")
        kind = item.get("type")
        read = _PARTS.get(kind) if type(kind) is str else None
        if read is None:
            raise _invalid(f"{where}[{index}].type", "must be a type of content part")
        parts.extend(read(item, f"{where}[{index}]"))
    return parts


def _text(item: dict[str, Any], where: str) -> list[Part]:
    return [Text(_string(item.get("text"), f"{where}.text"))]


def _refusal(item: dict[str, Any], where: str) -> list[Part]:
    return [Text(_string(item.get("refusal"), f"{where}.refusal"))]


def _thinking(item: dict[str, Any], where: str) -> list[Part]:
    # Mistral's own, replayed.
    return list(said([item]))


def _image(item: dict[str, Any], where: str) -> list[Part]:
    image = item.get("image_url")
    if type(image) is not dict:
        # Mistral takes the URL alone.
        image = {"url": image}
    url = _string(image.get("url"), f"{where}.image_url.url")
    detail = image.get("detail")
    if detail is not None:
        detail = _string(detail, f"{where}.image_url.detail")
    inline = _data_url(url, f"{where}.image_url.url")
    if inline is None:
        return [Image(url=url, detail=detail)]
    media_type, data = inline
    return [Image(media_type, data, detail=detail)]


def _audio(item: dict[str, Any], where: str) -> list[Part]:
    audio = item.get("input_audio")
    if type(audio) is not dict:
        raise _invalid(f"{where}.input_audio", "must be an object")
    data = _string(audio.get("data"), f"{where}.input_audio.data")
    return [Audio(data, _string(audio.get("format"), f"{where}.input_audio.format"))]


def _file(item: dict[str, Any], where: str) -> list[Part]:
    file = item.get("file")
    if type(file) is not dict:
        raise _invalid(f"{where}.file", "must be an object")
    name, file_id, data = file.get("filename"), file.get("file_id"), file.get("file_data")
    for key, value in (("filename", name), ("file_id", file_id), ("file_data", data)):
        if value is not None:
            _string(value, f"{where}.file.{key}")
    if data is None:
        if file_id is None:
            raise _invalid(f"{where}.file", "must have file_data or file_id")
        return [Document(file_id=file_id, name=name)]
    if data.startswith(("https://", "http://")):
        # OpenRouter's extension.
        return [Document(url=data, name=name)]
    media_type, data = _data_url(data, f"{where}.file.file_data") or ("application/pdf", data)
    return [Document(media_type, data, name=name)]


def _video(item: dict[str, Any], where: str) -> list[Part]:
    # OpenRouter's and vLLM's own.
    video = item.get("video_url")
    url = _string(video.get("url") if type(video) is dict else video, f"{where}.video_url.url")
    media_type, data = _data_url(url, f"{where}.video_url.url") or (VIDEO, None)
    return [Document(media_type, data, url=url if data is None else None)]


def _document(item: dict[str, Any], where: str) -> list[Part]:
    # Mistral's own.
    return [Document(url=_string(item.get("document_url"), f"{where}.document_url"))]


_PARTS = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "refusal": _refusal,
    "thinking": _thinking,
    "document_url": _document,
    "video_url": _video,
}


def _data_url(url: str, where: str) -> tuple[str, str] | None:
    """Media type and base64 data of a ``data:`` URL (RFC 2397), None for any other URL."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or "base64" not in (parameter.strip().lower() for parameter in parameters):
        raise _invalid(where, "must hold base64 data: data:<media type>;base64,<data>")
    return media_type.strip().lower() or "application/octet-stream", data


def _string(value: Any, where: str) -> str:
    if type(value) is not str:
        raise _invalid(where, "must be a string")
    return value


def _invalid(where: str, rule: str) -> BadRequest:
    return BadRequest("invalid_messages", f"{where} {rule}", param=where)
