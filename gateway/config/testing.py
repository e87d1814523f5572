"""A router's tests as written; their schema is a part of the router's. Run by `llm-relay test`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gateway.config.fields import Duration, ModelId, Text, Tokens, form
from gateway.config.model import DecisionReason

#: What a test may let the designator do, beside naming a candidate.
DESIGNATOR_ACTS = ("timeout", "error", "invalid", "none")

_Ask = Annotated[str, Meta(min_length=1)]
_Status = Annotated[int, Meta(ge=400, le=599)]
_Trouble = Annotated[str, form("timeout|refused", "write an HTTP status from 400 to 599, timeout or refused")]
_Act = Annotated[
    str, form(r"[!-~]{1,200}", "write timeout, error, invalid, none or a candidate", "timeout", "openai/gpt-4o")
]
_ErrorCode = Annotated[
    str, form(r"[a-z][a-z0-9_]{0,63}", "write the code of an error", "no_candidate", "upstream_error")
]
_ToolName = Annotated[str, form(r"[A-Za-z0-9_.-]{1,64}", "write the name of a tool", "get_weather")]


class _Document(Struct, forbid_unknown_fields=True, frozen=True):
    pass


class Turn(_Document, frozen=True):
    """One turn of a test's conversation, as in the OpenAI API."""

    role: Annotated[Literal["system", "user", "assistant", "tool"], Meta(description="Who speaks.")]
    content: (
        Annotated[
            str | list[dict[str, Any]], Meta(description="A text, or a list of content parts as in the OpenAI API.")
        ]
        | UnsetType
    ) = UNSET
    tool_calls: (
        Annotated[list[dict[str, Any]], Meta(description="The tools that the assistant called.")] | UnsetType
    ) = UNSET
    tool_call_id: Annotated[str, Meta(description="The call that this turn of a tool answers.")] | UnsetType = UNSET


class _Request(_Document, frozen=True):
    """What all requests of tests have in common."""

    ask: Annotated[_Ask, Meta(description="The user's text; short for one user message.")] | UnsetType = UNSET
    messages: (
        Annotated[list[Turn], Meta(description="A whole conversation, instead of ask.", min_length=1)] | UnsetType
    ) = UNSET
    image: Annotated[bool, Meta(description="Whether a picture comes with ask.")] | UnsetType = UNSET
    tools: (
        Annotated[
            list[str | dict[str, Any]],
            Meta(description="Tools that the model may call: names, or declarations as in the OpenAI API."),
        ]
        | UnsetType
    ) = UNSET
    max_tokens: Annotated[Tokens, Meta(description="The most tokens of the answer.")] | UnsetType = UNSET
    json: Annotated[bool, Meta(description="Whether the answer is to be a JSON object.")] | UnsetType = UNSET
    designator: (
        Annotated[
            _Act,
            Meta(
                description="What the designator does, instead of being asked: timeout, error (it fails), invalid (it "
                "names no candidate), none (it says none), or the candidate that it names."
            ),
        ]
        | UnsetType
    ) = UNSET
    fails: (
        Annotated[
            dict[ModelId, _Status | _Trouble],
            Meta(
                description="Candidates that fail: with an HTTP status, timeout, or refused connections.",
                examples=[{"openai/gpt-4o": 503}],
            ),
        ]
        | UnsetType
    ) = UNSET
    expect: (
        Annotated[ModelId | list[ModelId], Meta(description="The candidate, or candidates, that may answer.")]
        | UnsetType
    ) = UNSET
    reject: (
        Annotated[ModelId | list[ModelId], Meta(description="The candidate, or candidates, that must not answer.")]
        | UnsetType
    ) = field(default=UNSET, name="not")
    decision: (
        Annotated[DecisionReason, Meta(description="Why the candidate answers, as in X-LLM-Relay-Decision.")]
        | UnsetType
    ) = UNSET
    error: (
        Annotated[_ErrorCode, Meta(description="The error that the client gets instead of an answer.")] | UnsetType
    ) = UNSET


class Step(_Request, frozen=True):
    """One request of a conversation; the answers before it are part of what the client sends."""

    result: (
        Annotated[str, Meta(description="What the tool answers that an earlier step calls; instead of ask.")]
        | UnsetType
    ) = UNSET
    calls: Annotated[_ToolName, Meta(description="The tool that the candidate calls in its answer.")] | UnsetType = (
        UNSET
    )
    after: Annotated[Duration, Meta(description="How much time passes before this step.")] | UnsetType = UNSET
    stays: Annotated[bool, Meta(description="Whether the candidate of the step before answers again.")] | UnsetType = (
        UNSET
    )


class RouterTest(_Request, frozen=True):
    """A request, or a conversation in steps, and the candidates that may answer it; run by `llm-relay test`."""

    name: Annotated[Text, Meta(description="What to call the test in reports; default: its ask's first words.")] = ""
    reason: Annotated[Text, Meta(description="Why; shown where the test fails.")] = ""
    steps: (
        Annotated[
            list[Step],
            Meta(
                description="A conversation, one request after the other. Messages then are its beginning; tools, "
                "max_tokens and json hold for every step that does not say otherwise.",
                min_length=1,
                max_length=100,
            ),
        ]
        | UnsetType
    ) = UNSET
