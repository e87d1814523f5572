from __future__ import annotations

from typing import Any, Literal, get_args

import pytest

from gateway.chat import ChatRequest, Effort, Image, ResponseFormat, Text, Tool, ToolCall, ToolResult
from gateway.config.model import Candidate
from gateway.errors import (
    BadRequest,
    NoCandidate,
    UpstreamAuthFailed,
    UpstreamConnectFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTLSFailed,
    UpstreamTruncated,
)
from gateway.routing.decide import HUB, Ask, Decision, Excerpt, FallbackReason, Policy, Remembered
from gateway.routing.designator import in_brief
from gateway.routing.eligible import needs

from .build import ALL_ROUNDER, CODER, QUICK, candidate, chat, model, router, turn

POLICY = Policy(router())
PICTURE = chat(turn("user", "What is this?", Image(url="https://example.com/a.png")))


def ask(policy: Policy = POLICY, **settings: Any) -> Ask:
    asked = policy.decide(chat("Hi"), None, **settings)
    assert isinstance(asked, Ask)
    return asked


def outcome(decision: Ask | Decision | None) -> tuple[str, str]:
    assert isinstance(decision, Decision)
    return decision.candidate.id, decision.reason


def seeing(id: str) -> Candidate:
    return candidate(id, capabilities=("vision",))


def blind(id: str) -> Candidate:
    return candidate(id, capabilities=())


# --- again ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        chat("Hi"),
        PICTURE,
        chat("x" * 10_000, "and then?", tools=(Tool("clock"),), max_tokens=70),
        chat(turn("assistant", ToolCall("c1", "clock", "{}")), turn("tool", ToolResult("c1", (Text("noon"),)))),
        chat("{}", response_format=ResponseFormat("json")),
    ],
    ids=["plain", "picture", "long", "tools", "json"],
)
def test_an_excerpt_is_decided_as_its_request(request_: ChatRequest) -> None:
    wanted = needs(request_)
    # Whoever was eligible when it was taken does not matter.
    excerpt = Excerpt(wanted, in_brief(request_, wanted, ()))
    for policy in (
        POLICY,
        Policy(router(seeing(CODER), blind(ALL_ROUNDER), candidate(QUICK, context=100))),
        Policy(router(seeing(CODER), blind(ALL_ROUNDER))),
        Policy(router(blind(ALL_ROUNDER))),
    ):
        try:
            expected: Ask | Decision | str = policy.decide(request_, None)
        except BadRequest as error:
            expected = error.message
        try:
            found: Ask | Decision | str = policy.decide_again(excerpt)
        except BadRequest as error:
            found = error.message
        assert found == expected


# --- who is asked ---------------------------------------------------------------------------------------------------


def test_several_eligible_candidates_mean_a_question() -> None:
    asked = ask()
    assert [each.id for each in asked.eligible] == [CODER, ALL_ROUNDER, QUICK]


def test_only_eligible_and_available_candidates_are_offered() -> None:
    policy = Policy(router(seeing(CODER), blind(ALL_ROUNDER), seeing(QUICK), seeing("mistral/pixtral")))
    asked = policy.decide(PICTURE, None, {"groq"})
    assert isinstance(asked, Ask)
    assert [each.id for each in asked.eligible] == [CODER, "mistral/pixtral"]
    assert f'"eligible":["{CODER}","mistral/pixtral"]' in asked.prompt.messages[1].text


def test_the_question_is_a_plain_request_of_our_own() -> None:
    prompt = ask().prompt
    assert (prompt.dialect, prompt.model, prompt.stream) == (HUB, "gemini/gemini-2.0-flash", False)
    assert (prompt.temperature, prompt.max_tokens, prompt.effort, prompt.tools) == (0, 64, None, ())
    assert [message.role for message in prompt.messages] == ["system", "user"]
    assert prompt.messages[0].text == POLICY.system
    assert prompt.response_format is None


def test_a_reasoning_designator_thinks_as_little_as_it_can() -> None:
    prompt = ask(Policy(router(designator=model("openai/gpt-5-nano", capabilities=("reasoning",))))).prompt
    assert prompt.effort == Effort("minimal", enabled=False)
    assert prompt.max_tokens is not None
    assert prompt.max_tokens > 1000
    assert prompt.temperature is None


def test_a_strict_designator_gets_the_eligible_names_as_an_enum() -> None:
    policy = Policy(router(designator=model("openai/gpt-4o-mini", structured="json_schema")))
    for unavailable, names in ((set(), [CODER, ALL_ROUNDER, QUICK]), ({"openai"}, [CODER, QUICK])):
        answer = ask(policy, unavailable=unavailable).prompt.response_format
        assert answer is not None
        assert (answer.mode, answer.strict) == ("json_schema", True)
        assert answer.schema == {
            "type": "object",
            "properties": {"candidate": {"type": "string", "enum": names}},
            "required": ["candidate"],
            "additionalProperties": False,
        }


def test_a_designator_with_mere_json_mode_gets_that() -> None:
    policy = Policy(router(designator=model("deepseek/deepseek-chat", structured="json")))
    assert ask(policy).prompt.response_format == ResponseFormat("json")


def test_the_digest_changes_with_the_prompt() -> None:
    assert len(POLICY.digest) == 12
    assert Policy(router()).digest == POLICY.digest
    assert Policy(router(), {CODER: "Strong."}).digest != POLICY.digest
    assert Policy(router(purpose="Answer staff questions")).digest != POLICY.digest


# --- every reason ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (QUICK, (QUICK, "designated")),
        (f'{{"candidate": "{CODER}"}}', (CODER, "designated")),
        ("I would take the first", (ALL_ROUNDER, "fallback_invalid")),
        ("evil/model", (ALL_ROUNDER, "fallback_invalid")),
        (f"{CODER} {QUICK}", (ALL_ROUNDER, "fallback_invalid")),
        ("", (ALL_ROUNDER, "fallback_none")),
        ("none", (ALL_ROUNDER, "fallback_none")),
    ],
)
def test_the_designators_answer_settles(text: str, expected: tuple[str, str]) -> None:
    assert outcome(POLICY.settle(ask(), text)) == expected


@pytest.mark.parametrize("reason", get_args(FallbackReason))
def test_without_an_answer_the_fallback_serves(reason: FallbackReason) -> None:
    assert outcome(POLICY.fall_back(ask(), reason)) == (ALL_ROUNDER, reason)


def test_a_fallback_that_cannot_serve_leaves_it_to_the_first_that_can() -> None:
    policy = Policy(router(blind(ALL_ROUNDER), seeing(QUICK), seeing(CODER), fallback=ALL_ROUNDER))
    asked = policy.decide(PICTURE, None)
    assert isinstance(asked, Ask)
    assert outcome(policy.fall_back(asked, "fallback_timeout")) == (QUICK, "fallback_timeout")
    assert outcome(POLICY.fall_back(ask(unavailable={"openai"}), "fallback_open")) == (CODER, "fallback_open")


@pytest.mark.parametrize("kind", ["session", "tool_loop"])
def test_a_remembered_candidate_is_kept_while_it_can_serve(kind: Literal["session", "tool_loop"]) -> None:
    assert outcome(POLICY.decide(chat("Hi"), Remembered(QUICK, kind))) == (QUICK, kind)


def test_a_remembered_candidate_that_cannot_serve_is_decided_anew() -> None:
    assert isinstance(POLICY.decide(chat("Hi"), Remembered("openai/gone", "session")), Ask)
    assert isinstance(POLICY.decide(chat("Hi"), Remembered(QUICK, "session"), {"groq"}), Ask)
    assert isinstance(POLICY.decide(chat("Hi"), Remembered(QUICK, "tool_loop"), {QUICK}), Ask)
    small = Policy(router(candidate(QUICK, context=100), candidate(CODER), candidate(ALL_ROUNDER)))
    assert isinstance(small.decide(chat("x" * 1000), Remembered(QUICK, "session")), Ask)
    sighted = Policy(router(blind(QUICK), seeing(CODER)))
    assert outcome(sighted.decide(PICTURE, Remembered(QUICK, "session"))) == (CODER, "only_candidate")


@pytest.mark.parametrize(
    ("policy", "unavailable"),
    [
        (Policy(router(candidate(CODER))), ()),
        (Policy(router(seeing(CODER), blind(QUICK))), ()),
        (Policy(router(seeing(CODER), seeing(QUICK))), {"groq"}),
        (Policy(router(seeing(CODER), seeing(QUICK))), {QUICK}),
    ],
    ids=["alone", "alone able", "provider rests", "model rests"],
)
def test_one_candidate_left_needs_no_question(policy: Policy, unavailable: Any) -> None:
    assert outcome(policy.decide(PICTURE, None, unavailable)) == (CODER, "only_candidate")


def test_nobody_able_is_the_clients_error_and_names_everyone() -> None:
    policy = Policy(router(blind(CODER), candidate(QUICK, capabilities=("vision",), context=10)))
    with pytest.raises(BadRequest) as caught:
        policy.decide(PICTURE, Remembered(CODER, "session"), {"groq"})
    assert (caught.value.status, caught.value.code) == (400, "no_candidate")
    assert f"{CODER} cannot read images; {QUICK} has a context of 10 tokens" in caught.value.message


def test_nobody_available_is_not_the_clients_error() -> None:
    with pytest.raises(NoCandidate) as caught:
        POLICY.decide(chat("Hi"), Remembered(CODER, "session"), {"anthropic", "openai", "groq"})
    assert (caught.value.status, caught.value.code) == (503, "no_candidate")


# --- failover -------------------------------------------------------------------------------------------------------

FOUR = Policy(
    router(
        candidate("openai/small", context=8_000),
        candidate("openai/large", context=128_000),
        candidate("groq/medium", context=32_000),
        candidate("vllm/unknown"),
    )
)


def rejected(status: int, kind: str | None) -> UpstreamRejected:
    return UpstreamRejected(status, "no", kind=kind, body=b"{}", content_type="application/json")


@pytest.mark.parametrize(
    ("failed", "error", "unavailable", "expected"),
    [
        # One model's or one exchange's trouble: file order.
        ("openai/small", UpstreamFailed("no"), (), "openai/large"),
        ("openai/large", UpstreamTruncated("no"), (), "openai/small"),
        ("groq/medium", UpstreamTimeout("no"), (), "openai/small"),
        ("openai/small", UpstreamFailed("no"), {"openai/large"}, "groq/medium"),
        ("openai/small", UpstreamFailed("no"), {"openai", "groq"}, "vllm/unknown"),
        ("openai/small", UpstreamFailed("no"), {"openai", "groq", "vllm"}, None),
        # A whole provider's trouble: others first.
        ("openai/small", UpstreamConnectFailed("no"), (), "groq/medium"),
        ("openai/small", UpstreamTLSFailed("no"), (), "groq/medium"),
        ("openai/small", UpstreamAuthFailed("no"), (), "groq/medium"),
        ("openai/large", UpstreamRateLimited("no"), (), "groq/medium"),
        ("groq/medium", UpstreamOverloaded("no"), (), "openai/small"),
        ("openai/small", UpstreamOverloaded("no"), {"groq", "vllm"}, "openai/large"),
        # Too long: only where more may fit.
        ("openai/small", rejected(400, "context_length_exceeded"), (), "openai/large"),
        ("openai/small", rejected(413, None), (), "openai/large"),
        ("groq/medium", rejected(413, None), (), "openai/large"),
        ("openai/large", rejected(413, None), (), "vllm/unknown"),
        ("openai/large", rejected(413, None), {"vllm"}, None),
        ("vllm/unknown", rejected(413, None), (), "openai/small"),
        # Any other rejection would be one elsewhere too.
        ("openai/small", rejected(400, "invalid_request_error"), (), None),
        ("openai/small", rejected(422, None), (), None),
    ],
)
def test_the_next_candidate(failed: str, error: UpstreamError, unavailable: Any, expected: str | None) -> None:
    following = FOUR.next(FOUR.settle(ask(FOUR), failed), error, unavailable)
    if expected is None:
        assert following is None
    else:
        assert outcome(following) == (expected, "failover")


def test_there_is_only_one_failover() -> None:
    second = FOUR.next(FOUR.settle(ask(FOUR), "openai/small"), UpstreamFailed("no"))
    assert second is not None
    assert FOUR.next(second, UpstreamFailed("no")) is None


def test_a_lonely_candidate_has_nobody_to_follow() -> None:
    policy = Policy(router(candidate(CODER)))
    decision = policy.decide(chat("Hi"), None)
    assert isinstance(decision, Decision)
    assert policy.next(decision, UpstreamFailed("no")) is None


def test_failover_goes_only_to_those_who_can_serve() -> None:
    policy = Policy(router(seeing(CODER), blind(ALL_ROUNDER), seeing(QUICK)))
    decision = policy.decide(PICTURE, Remembered(CODER, "session"))
    assert isinstance(decision, Decision)
    assert outcome(policy.next(decision, UpstreamFailed("no"))) == (QUICK, "failover")
