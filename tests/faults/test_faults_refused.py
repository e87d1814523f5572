"""What a provider says no to: our key, the client's request, or one request more. Each has consequences of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest

from tests.faultserver import FaultServer, Request, Script, Step, answer, fin, hang, send
from tests.relaykit import KEY, Kit, Recorder, model, router, snapshot

from .heard import hear
from .outcomes import PAIRS, check_clean, check_error
from .speech import ANTHROPIC, OLLAMA, OPENAI, SPEECHES, Speech

log = logging.getLogger("measured")


def limited(speech: Speech, *headers: tuple[str, str], kind: str = "rate_limit_exceeded") -> Step:
    return answer(speech.error("slow down", kind), 429, headers)


# --- F21: our key -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
@pytest.mark.parametrize("status", [401, 403])
async def test_f21_a_client_never_sees_that_our_key_is_wrong(status: int, wire: str, dialect: str) -> None:
    speech = SPEECHES[wire]
    said = speech.error(f"Incorrect API key provided: {KEY}", "invalid_api_key")
    async with FaultServer([answer(said, status, [("WWW-Authenticate", f"Bearer {KEY}")])]) as server:
        bad = model("bad/m", url=server.url, wire=wire)
        worse = model("worse/m", url=server.url, wire=wire)
        async with Kit(snapshot(router(bad, worse))) as kit:
            got = await kit.ask(dialect)
            # Both were tried, and both refused.
            check_error(dialect, got, "upstream_auth_failed")
            assert (got.routed_to, got.decision, len(server.requests)) == ("worse/m", "failover", 2)
            assert "retry-after" not in got.headers


async def test_f21_a_400_that_means_our_key() -> None:
    """Gemini says so."""
    said = json.dumps([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}])
    async with FaultServer([answer(said, 400)]) as server:
        routers = router(model("bad/m", url=server.url), model("spare/m"))
        async with Kit(snapshot(routers)) as kit:
            assert (await kit.ask()).routed_to == "spare/m"


# --- the client's request ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_request_is_the_client_s(status: int, wire: str, dialect: str, stream: bool) -> None:
    """It goes through in the client's own dialect, and nobody else is asked the same."""
    said = SPEECHES[wire].error("temperature: too hot", "invalid_request_error")
    async with FaultServer([answer(said, status, [("Set-Cookie", "s=1"), ("X-Internal", "1")])]) as server:
        bad = model("bad/m", url=server.url, wire=wire, context=1000)
        async with Kit(snapshot(router(bad, model("spare/m", context=1000)))) as kit:
            got = await kit.ask(dialect, stream=stream)
            check_clean(got)
            assert (got.status, got.decision, got.code) == (status, "designated", None)
            assert got.headers["content-type"] == "application/json"
            assert kit.tame.calls("spare") == 0
            if wire == dialect:
                assert got.body == said
            heard = hear(dialect, got)
            assert (heard.error if dialect == "ollama" else heard.error["message"]) == "temperature: too hot"
            assert kit.metric("upstream_errors_total", provider="bad", code="upstream_error") == 0
            assert (kit.entries[0].status, kit.entries[0].ended) == (status, "error")


async def test_a_refusal_does_not_show_our_key() -> None:
    said = OPENAI.error(f"unknown field in request with {KEY}", "invalid_request_error")
    async with FaultServer([answer(said, 400)]) as server:
        bad = model("bad/m", url=server.url)
        async with Kit(snapshot(models=[bad])) as kit:
            got = await kit.ask(model="bad/m")
            check_clean(got)
            assert hear("openai", got).error["message"] == "unknown field in request with [key]"


TOO_LONG = {
    "openai": (400, OPENAI.error("too long", "context_length_exceeded")),
    "openai, in words": (400, OPENAI.error("This model's maximum context length is 1000 tokens.", "BadRequestError")),
    "anthropic": (400, ANTHROPIC.error("prompt is too long: 9 tokens > 5 maximum", "invalid_request_error")),
    "anthropic, 413": (413, ANTHROPIC.error("Request too large", "request_too_large")),
    "ollama": (400, OLLAMA.error("the request exceeds the available context size", "")),
}


@pytest.mark.parametrize(
    ("context", "tried"), [(1000, False), (999, False), (1001, True), (None, True)], ids=["equal", "less", "more", "?"]
)
@pytest.mark.parametrize("said", TOO_LONG)
async def test_f23_a_prompt_that_is_too_long_goes_to_a_larger_model_only(
    said: str, context: int | None, tried: bool
) -> None:
    status, body = TOO_LONG[said]
    async with FaultServer([answer(body, status)]) as server:
        bad = model("bad/m", url=server.url, wire=said.partition(",")[0], context=1000)
        async with Kit(snapshot(router(bad, model("spare/m", context=context)))) as kit:
            got = await kit.ask()
            assert (got.status, got.decision) == ((200, "failover") if tried else (status, "designated"))
            assert kit.tame.calls("spare") == tried


async def test_a_second_candidate_that_cannot_say_it_leaves_the_first_one_s_error() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://pictures.test/cat.png"}}
    async with FaultServer([answer(OPENAI.error("no", "server_error"), 500)]) as server:
        bad, spare = model("bad/m", url=server.url), model("spare/m", wire="ollama")
        async with Kit(snapshot(router(bad, spare))) as kit:
            got = await kit.ask(messages=[{"role": "user", "content": [picture]}])
            check_error("openai", got, "upstream_error")
            assert kit.tame.calls("spare") == 0


# --- F24 to F27: one request more -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
async def test_f24_a_provider_rests_for_as_long_as_it_asked(wire: str, dialect: str) -> None:
    speech = SPEECHES[wire]
    first = [limited(speech, ("Retry-After", "7"))]

    def respond(request: Request) -> Script:
        return first if len(server.requests) == 1 else speech.answers(request.body)

    async with FaultServer(respond=respond) as server:
        bad, other = (model(f"bad/{name}", url=server.url, wire=wire) for name in "mn")
        async with Kit(snapshot(router(bad, model("spare/m")), models=[bad, other])) as kit:
            assert (await kit.ask(dialect)).decision == "failover"
            for seconds in (0.0, 3.5, 3.4):
                kit.clock.now += seconds
                got = await kit.ask(dialect)
                # There is nothing to ask: one candidate is left.
                assert (got.routed_to, got.decision) == ("spare/m", "only_candidate")
                # Nor does anybody else reach the provider with that key.
                direct = await kit.ask(dialect, model="bad/n")
                check_error(dialect, direct, "upstream_rate_limited")
                assert direct.headers["retry-after"] == str(7 - int(kit.clock.now - 1000))
            assert len(server.requests) == 1
            kit.clock.now += 0.1
            assert (await kit.ask(dialect)).decision == "designated"
            assert (await kit.ask(dialect, model="bad/n")).status == 200
            assert len(server.requests) == 3


@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
async def test_f24_nobody_is_left(wire: str, dialect: str) -> None:
    speech = SPEECHES[wire]
    async with (
        FaultServer([limited(speech, ("Retry-After", "9"))]) as one,
        FaultServer([limited(speech, ("Retry-After", "7"))]) as two,
    ):
        first, second = model("one/m", url=one.url, wire=wire), model("two/m", url=two.url, wire=wire)
        async with Kit(snapshot(router(first, second))) as kit:
            got = await kit.ask(dialect)
            check_error(dialect, got, "upstream_rate_limited")
            assert (got.routed_to, got.headers["retry-after"]) == ("two/m", "7")
            kit.clock.now += 2.5
            got = await kit.ask(dialect, stream=True)
            check_error(dialect, got, "upstream_rate_limited")
            assert (got.headers["x-llm-relay-router"], got.routed_to) == ("smart", None)
            assert got.headers["retry-after"] == "5"
            assert (len(one.requests), len(two.requests), kit.tame.calls("judge")) == (1, 1, 1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("-1", 0.0),
        ("1e9", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("99999999999999999999", 60.0),
        ("1\u00a0", 0.0),
        ("60", 60.0),
        ("0", 0.0),
        ("0.25", 0.25),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 529])
async def test_f26_absurd_pauses(value: str, seconds: float, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
    async with FaultServer([send(head.encode("latin-1"))]) as server:
        bad = model("bad/m", url=server.url)
        async with Kit(snapshot(router(bad, model("spare/m")), models=[bad])) as kit:
            assert (await kit.ask()).decision == "failover"
            assert kit.health.remaining("bad") == seconds
            got = await kit.ask(model="bad/m")
            assert got.status == (429 if status == 429 or seconds else 503)
            assert 1 <= int(got.headers.get("retry-after", "1")) <= 60


@pytest.mark.parametrize("kind", ["insufficient_quota", "billing_hard_limit_reached"])
async def test_f27_an_empty_account_rests_for_five_minutes(kind: str) -> None:
    """Also where the provider wants to be asked again at once."""
    async with FaultServer([limited(OPENAI, ("Retry-After", "1"), kind=kind)], [answer(OPENAI.whole())]) as server:
        bad = model("bad/m", url=server.url)
        async with Kit(snapshot(router(bad, model("spare/m")), models=[bad])) as kit:
            assert (await kit.ask()).decision == "failover"
            for seconds, left in ((0.0, "300"), (299.5, "1")):
                kit.clock.now += seconds
                assert (await kit.ask()).decision == "only_candidate"
                assert (await kit.ask(model="bad/m")).headers["retry-after"] == left
            assert len(server.requests) == 1
            kit.clock.now += 0.5
            assert (await kit.ask()).decision == "designated"


async def test_an_overloaded_provider_rests_too() -> None:
    body = ANTHROPIC.error("Overloaded", "overloaded_error")
    async with FaultServer([answer(body, 529, [("Retry-After", "3")])]) as server:
        bad = model("bad/m", url=server.url, wire="anthropic")
        async with Kit(snapshot(router(bad, model("spare/m")))) as kit:
            assert (await kit.ask("anthropic")).decision == "failover"
            assert (await kit.ask("anthropic")).decision == "only_candidate"
            assert len(server.requests) == 1


# --- F05 and F32: connections -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
async def test_f05_a_stale_connection_is_replaced_in_silence(wire: str, dialect: str, stream: bool) -> None:
    speech = SPEECHES[wire]

    def respond(request: Request) -> Script:
        return [fin()] if len(server.requests) == 2 else speech.answers(request.body)

    async with FaultServer(respond=respond) as server:
        good = model("good/m", url=server.url, wire=wire)
        async with Kit(snapshot(router(good, model("spare/m")))) as kit:
            for _ in range(2):
                got = await kit.ask(dialect, stream=stream)
                assert (got.routed_to, got.decision) == ("good/m", "designated")
                assert hear(dialect, got).complete
            assert [request.connection for request in server.requests] == [0, 0, 1]
            assert server.requests[1].body == server.requests[2].body
            assert kit.tame.calls("spare") == 0
            assert kit.metric("upstream_errors_total", provider="good", code="upstream_protocol_error") == 0


async def test_f15_a_redirect_leads_nowhere() -> None:
    async with FaultServer([answer("{}")]) as canary, FaultServer(respond=lambda _: redirect(canary.url)) as server:
        for wire, dialect in PAIRS:
            bad = model("bad/m", url=server.url, wire=wire)
            async with Kit(snapshot(router(bad, model("spare/m")), models=[bad])) as kit:
                for stream in (True, False):
                    assert (await kit.ask(dialect, stream=stream)).decision == "failover"
                    got = await kit.ask(dialect, model="bad/m", stream=stream)
                    check_error(dialect, got, "upstream_error")
        assert canary.accepted == 0


def redirect(url: str) -> Script:
    return [send(f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {url}/x\r\nContent-Length: 0\r\n\r\n")]


async def test_f32_the_body_of_an_error_is_worth_less_than_a_second() -> None:
    hanging = [send("HTTP/1.1 500 X\r\nContent-Length: 1000\r\n\r\n{"), hang()]
    async with FaultServer(hanging) as server:

        async def ask(wire: str, dialect: str, stream: bool) -> None:
            bad = model("bad/m", url=server.url, wire=wire)
            async with Kit(snapshot(router(bad, model("spare/m")))) as kit:
                got: Recorder = await kit.ask(dialect, stream=stream)
                assert (got.status, got.decision) == (200, "failover")

        began = time.monotonic()
        await asyncio.gather(*(ask(*pair, stream) for pair in PAIRS for stream in (True, False)))
        log.info("took %.3f s", time.monotonic() - began)
        await server.until(lambda: server.open == 0)
