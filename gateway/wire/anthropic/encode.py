"""A request to a provider of this wire: a client's own, passed on, or one written from the hub.

What the Messages API cannot say is left out where the answer stays the same kind of answer (``seed``, penalties, a stop
sequence of blanks) and refused where it does not (more than one answer, sound, another provider's files). JSON answers
are asked for in the system prompt: the API's own ``output_format`` exists for some models only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import ChatRequest, Effort, Part, Reasoning, ResponseFormat, ToolCall
from gateway.errors import BadRequest
from gateway.wire.anthropic.models import Thinking, thinking
from gateway.wire.anthropic.turns import Turn, conversation
from gateway.wire.anthropic.vocabulary import PATH, UNSIGNED
from gateway.wire.protocol import Target

#: ``max_tokens`` is required; where neither the client nor the catalogue has a number, this is what any model takes.
DEFAULT_MAX_TOKENS = 4096
#: And where only the catalogue has one, at most this: a whole answer must fit the gateway's total deadline.
MOST_BY_DEFAULT = 16_384
#: The least thinking budget that the API takes ("Extended thinking").
LEAST_BUDGET = 1024

_BUDGETS = {"low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768, "max": 32_768}
#: The efforts that every model with efforts takes, and the budgets that they stand for.
_EFFORTS = (("low", 1024), ("medium", 4096))
#: ``metadata.user_id`` may be this long.
_USER_LENGTH = 256

#: Fields of other gateways' requests, which say how a gateway should act and are none of a provider's business.
_JUNK = frozenset({"guardrails", "callbacks", "success_callback", "failure_callback"})

_json = msgspec.json.Encoder()


def encode_request(request: ChatRequest, target: Target) -> tuple[str, bytes]:
    """Path and body. Raises BadRequest unsupported where the API cannot say what the request asks."""
    if request.dialect == "anthropic":
        return PATH, _json.encode(_own_fields(request, target))
    return PATH, _json.encode(_translated(request, target))


# --- the same wire --------------------------------------------------------------------------------------------------


def _own_fields(request: ChatRequest, target: Target) -> dict[str, Any]:
    """The request's own JSON values in their order, but for the model and what is not for a provider."""
    fields: dict[str, Any] = {**request.fields, "model": target.model}
    for name in request.fields:
        if name in _JUNK or name.startswith("litellm_"):
            del fields[name]
    if "metadata" in fields:
        if request.user is None:
            del fields["metadata"]
        else:
            fields["metadata"] = {"user_id": request.user}
    if "thinking" in fields and _begun_without_thought(request):
        # Refused with a budget: "a final assistant message must start with a thinking block".
        del fields["thinking"]
    if _has_unsigned(request):
        fields["messages"] = _signed_only(request.fields["messages"])
    return fields


def _begun_without_thought(request: ChatRequest) -> bool:
    """Whether a budget is asked for within a tool loop that began without signed thoughts, as another model's does."""
    if request.effort is None or request.effort.budget is None:
        return False
    asked = 0
    for message in reversed(request.messages):
        if message.role == "assistant":
            kept = (part for part in message.parts if not _is_unsigned(part))
            return asked > 0 and type(next(kept, None)) is not Reasoning
        asked += message.role == "tool"
    return False


def _has_unsigned(request: ChatRequest) -> bool:
    for message in request.messages:
        if message.role == "assistant":
            for part in message.parts:
                if _is_unsigned(part):
                    return True
    return False


def _is_unsigned(part: Part) -> bool:
    return type(part) is Reasoning and part.signature is None and part.redacted is None


def _signed_only(raw: msgspec.Raw) -> list[Any]:
    """The messages without the thoughts that another wire's model had and this gateway showed the client."""
    kept: list[Any] = []
    for message in msgspec.json.decode(raw, type=list[dict[str, Any]]):
        content = message["content"]
        if type(content) is list:
            message["content"] = [
                block for block in content if block["type"] != "thinking" or block.get("signature") != UNSIGNED
            ]
            if content and not message["content"]:
                continue
        kept.append(message)
    return kept


# --- over the hub ---------------------------------------------------------------------------------------------------


def _translated(request: ChatRequest, target: Target) -> dict[str, Any]:
    if request.n > 1:
        raise BadRequest("unsupported", "this model answers once per request: n must be 1", param="n")
    system, turns = conversation(request.messages)
    if request.response_format is not None:
        system.append(_instruction(request.response_format))
    body: dict[str, Any] = {"model": target.model, "max_tokens": _max_tokens(request, target)}
    if system:
        body["system"] = "\n\n".join(system)
    body["messages"] = [turn.encode() for turn in turns]
    _add_tools(body, request)
    _add_thinking(body, request, target, turns)
    _add_sampling(body, request, target)
    # A stop sequence without a visible character is refused ("stop_sequences: each must contain non-whitespace").
    stop = [sequence for sequence in request.stop if sequence.strip()]
    if stop:
        body["stop_sequences"] = stop
    if request.user:
        body["metadata"] = {"user_id": request.user[:_USER_LENGTH]}
    if request.stream:
        body["stream"] = True
    return body


def _max_tokens(request: ChatRequest, target: Target) -> int:
    most = target.max_output
    wanted = request.max_tokens or min(most or DEFAULT_MAX_TOKENS, MOST_BY_DEFAULT)
    return wanted if most is None else min(wanted, most)


def _instruction(wanted: ResponseFormat) -> str:
    rule = "Answer with a single JSON object and nothing else: no introduction, no explanation, no code fence."
    if wanted.schema is None:
        return rule
    return f"{rule} The object must be valid under this JSON Schema:\n{_json.encode(wanted.schema).decode()}"


def _add_tools(body: dict[str, Any], request: ChatRequest) -> None:
    if not request.tools:
        called = {part.name for message in request.messages for part in message.parts if type(part) is ToolCall}
        if called:
            # Calls in the conversation must be of tools that the request declares, also if none may be called any more.
            body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in sorted(called)]
            body["tool_choice"] = {"type": "none"}
        return
    tools: list[dict[str, Any]] = []
    for tool in request.tools:
        encoded: dict[str, Any] = {"name": tool.name}
        if tool.description:
            encoded["description"] = tool.description
        encoded["input_schema"] = {"type": "object", **(tool.parameters or {"properties": {}})}
        tools.append(encoded)
    body["tools"] = tools
    choice = request.tool_choice
    encoded_choice: dict[str, Any] = {"type": "auto"}
    if choice is not None and choice.mode == "named":
        encoded_choice = {"type": "tool", "name": choice.name}
    elif choice is not None and choice.mode != "auto":
        encoded_choice = {"type": "any" if choice.mode == "required" else "none"}
    if request.parallel_tool_calls is False and encoded_choice["type"] != "none":
        encoded_choice["disable_parallel_tool_use"] = True
    elif choice is None:
        return
    body["tool_choice"] = encoded_choice


def _add_thinking(body: dict[str, Any], request: ChatRequest, target: Target, turns: list[Turn]) -> None:
    kind = thinking(target.model)
    budget = _budget(request.effort)
    if budget is None or kind == "never" or not _may_think(body, turns, kind):
        return
    if kind == "effort":
        # Without "display" the thoughts of these models come without their text.
        body["thinking"] = {"type": "adaptive", "display": "summarized"}
        body["output_config"] = {"effort": next((level for level, most in _EFFORTS if budget <= most), "high")}
        return
    budget = max(budget, LEAST_BUDGET)
    tokens = body["max_tokens"]
    if budget >= tokens:
        tokens += budget
    if target.max_output is not None and tokens > target.max_output:
        tokens = target.max_output
        budget = min(budget, tokens // 2)
    if budget >= LEAST_BUDGET:
        body["max_tokens"] = tokens
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _budget(effort: Effort | None) -> int | None:
    if effort is None or not effort.enabled:
        return None
    # Ollama's plain "think": true says neither how much nor how hard.
    return effort.budget if effort.budget is not None else _BUDGETS.get(effort.level or "medium")


def _may_think(body: dict[str, Any], turns: list[Turn], kind: Thinking) -> bool:
    """Whether the API takes thinking for this conversation: not before a forced call, nor within a begun answer, nor,
    with a budget, in a tool loop that began without signed thoughts.
    """
    if turns[-1].role == "assistant" or body.get("tool_choice", {}).get("type") in ("any", "tool"):
        return False
    return kind == "effort" or not turns[-1].results or len(turns) == 1 or turns[-2].thought


def _add_sampling(body: dict[str, Any], request: ChatRequest, target: Target) -> None:
    """``temperature``, ``top_p`` and ``top_k`` as far as the API takes them.

    Not beside thinking, not for models of the newer generation, and not two of them: since 4.5 models refuse
    ``temperature`` together with ``top_p``.
    """
    if "thinking" in body or thinking(target.model) == "effort":
        return
    if request.temperature is not None:
        body["temperature"] = min(max(request.temperature, 0.0), 1.0)
    elif request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k
