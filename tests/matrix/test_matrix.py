"""Every client dialect with every provider wire: what is asked arrives, and what is said is heard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import httpx
import pytest

from gateway.wire import DIALECTS, WIRES
from gateway.wire.protocol import Watch
from gateway.wire.translated import Translated
from tests.matrix.clients import CLIENTS, Client
from tests.matrix.providers import PROVIDERS, OllamaGenerate, Provider
from tests.matrix.said import Ask, Assistant, Call, Reply, Result, Tool, User
from tests.matrix.stage import PIXEL
from tests.relaykit import Kit, Recorder, answered, model, snapshot

#: Asked for whole and answered so; asked for as a stream and answered so; asked for as a stream, answered in one piece.
Mode = Literal["whole", "stream", "one_piece"]
MODES: tuple[Mode, ...] = ("whole", "stream", "one_piece")

CLOCK = Tool("clock", "Tells the time", {"type": "object", "properties": {"city": {"type": "string"}}})
WAKE = Tool("wake", "Wakes a guest", {"type": "object", "properties": {}})
PARIS, OSLO = Call("call_1", "clock", {"city": "Paris"}), Call("call_2", "clock", {"city": "Oslo"})
WOKEN = Call("call_3", "wake", {})


class Scene(NamedTuple):
    """A request, its answer, and what the client must be able to say."""

    ask: Ask
    reply: Reply
    demands: frozenset[str] = frozenset()


def scene(ask: Ask, reply: Reply, *demands: str) -> Scene:
    return Scene(ask, reply, frozenset(demands))


SCENES = {
    "text": scene(Ask((User("Grüß dich 🙂"),)), Reply("Hallo, schöne Welt! 漢字\u2028\n🙂")),
    "settings": scene(Ask((User("Count"),), max_tokens=17, stop=("END", "\nUser:"), temperature=0.5), Reply("1 2 3")),
    "length": scene(Ask((User("Count"),), max_tokens=3), Reply("1 2 3", stop="length", output=3)),
    "cached": scene(Ask((User("Again"),)), Reply("Again", input=100, cached=64)),
    "empty": scene(Ask((User("Say nothing"),)), Reply("", output=0)),
    "system": scene(Ask((User("Hi"),), system="Be brief.\nAlways."), Reply("Hi."), "system"),
    "turns": scene(
        Ask((User("Hi"), Assistant("Hello."), User("And now?")), system="Be brief."), Reply("Now?"), "turns", "system"
    ),
    "image": scene(Ask((User("What is it?", (PIXEL, PIXEL)),)), Reply("Two pixels."), "images"),
    "thinking": scene(Ask((User("Think"),)), Reply("So.", thinking="Well … so?"), "thinking"),
    "tool call": scene(
        Ask((User("How late is it in Paris?"),), tools=(CLOCK, WAKE)), Reply(calls=(PARIS,), stop="tools"), "tools"
    ),
    "tool calls after words": scene(
        Ask((User("How late is it?"),), tools=(CLOCK, WAKE)),
        Reply("I look.", calls=(PARIS, OSLO, WOKEN), stop="tools"),
        "tools",
    ),
    "tool results": scene(
        Ask(
            (
                User("How late is it?"),
                Assistant("I look.", (PARIS, OSLO)),
                Result("call_1", "clock", "noon"),
                Result("call_2", "clock", "noon, too"),
            ),
            tools=(CLOCK,),
        ),
        Reply("Noon in both."),
        "tools",
    ),
    "a later turn after tools": scene(
        Ask(
            (
                User("How late is it?"),
                Assistant("", (PARIS,)),
                Result("call_1", "clock", "noon"),
                Assistant("Noon."),
                User("And in Oslo?"),
                Assistant("", (OSLO, WOKEN)),
                Result("call_2", "clock", "noon"),
                Result("call_3", "wake", "done"),
                User("So?"),
            ),
            tools=(CLOCK, WAKE),
        ),
        Reply("Noon."),
        "tools",
    ),
}

PAIRS = [(client, provider) for client in CLIENTS for provider in PROVIDERS]


def cells(pairs: list[tuple[Client, Provider]]) -> list[Any]:
    return [pytest.param(client, provider, id=f"{client.dialect}->{provider.wire}") for client, provider in pairs]


CELLS = cells(PAIRS)
TRANSLATED = cells([(client, provider) for client, provider in PAIRS if client.wire != provider.wire])


def scenes() -> Iterator[Any]:
    for client, provider in PAIRS:
        for name, each in SCENES.items():
            if each.demands <= client.can:
                yield pytest.param(client, provider, each, id=f"{client.dialect}->{provider.wire}: {name}")


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    models = [model(f"{provider.wire}/m", wire=provider.wire) for provider in PROVIDERS]
    async with Kit(snapshot(models=models)) as kit:
        yield kit


def spoken(client: Client, provider: Provider) -> Provider:
    """The provider as this client's requests meet it: an Ollama server has two endpoints."""
    return OllamaGenerate() if client.dialect == "ollama.generate" and provider.wire == "ollama" else provider


async def ask(kit: Kit, client: Client, provider: Provider, asked: Ask, mode: Mode, answer: httpx.Response) -> Recorder:
    """One chat, to which the provider gives this answer."""
    kit.tame.plays[provider.wire] = lambda body: answer
    fields = client.write(asked)
    if mode == "whole":
        fields.pop("stream_options", None)
    return await kit.ask(client.dialect, model=f"{provider.wire}/m", stream=mode != "whole", **fields)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("client", "provider", "scene"), list(scenes()))
async def test_what_is_asked_arrives_and_what_is_said_is_heard(
    kit: Kit, client: Client, provider: Provider, scene: Scene, mode: Mode
) -> None:
    speaker = spoken(client, provider)
    if mode == "stream":
        answer = answered(b"".join(speaker.stream(scene.reply)), content_type=provider.stream_type)
    else:
        answer = answered(speaker.whole(scene.reply))
    got = await ask(kit, client, provider, scene.ask, mode, answer)
    assert got.status == 200, got.body
    (body,) = kit.tame.asked[provider.wire]
    assert speaker.read(body).numbered() == scene.ask.numbered()
    if mode == "whole":
        assert got.headers["content-type"] == "application/json"
        heard = client.hear(got.body)
    else:
        assert got.headers["content-type"].partition(";")[0] == client.stream_type
        heard = client.listen(got.body)
    cached = scene.reply.cached if client.tells_cache and provider.tells_cache else None
    assert heard == replace(scene.reply, cached=cached)


# --- errors -----------------------------------------------------------------------------------------------------------


class Refusal(NamedTuple):
    """A provider's status and its word for it; what a client gets for that, in each dialect's words."""

    status: int
    kind: str
    gets: int
    openai: str
    anthropic: str
    #: Whether the client may read what the provider says.
    shown: bool = True


REFUSALS = (
    Refusal(400, "invalid_request_error", 400, "invalid_request_error", "invalid_request_error"),
    Refusal(401, "authentication_error", 502, "server_error", "api_error", shown=False),
    Refusal(404, "not_found_error", 502, "server_error", "api_error"),
    Refusal(413, "request_too_large", 413, "invalid_request_error", "request_too_large"),
    Refusal(429, "rate_limit_error", 429, "rate_limit_error", "rate_limit_error"),
    Refusal(500, "api_error", 502, "server_error", "api_error"),
    Refusal(503, "overloaded_error", 503, "server_error", "overloaded_error"),
)


@pytest.mark.parametrize("mode", ["whole", "stream"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.status))
@pytest.mark.parametrize(("client", "provider"), CELLS)
async def test_a_refusal_is_heard_in_the_client_s_words(
    kit: Kit, client: Client, provider: Provider, refusal: Refusal, mode: Mode
) -> None:
    body = provider.error("the clock is broken", refusal.kind)
    answer = httpx.Response(
        refusal.status, content=body, headers={"content-type": "application/json", "retry-after": "7"}
    )
    got = await ask(kit, client, provider, SCENES["text"].ask, mode, answer)
    anthropic = client.dialect == "anthropic"
    assert got.status == (529 if anthropic and refusal.gets == 503 else refusal.gets)
    assert got.headers["content-type"] == "application/json"
    kind, message = client.error(got.body)
    if client.dialect.startswith("openai"):
        assert kind == (refusal.kind if _passes(client, provider, refusal) else refusal.openai)
    elif anthropic:
        assert kind == (refusal.kind if _passes(client, provider, refusal) else refusal.anthropic)
    assert ("the clock is broken" in message) is refusal.shown
    assert ("x-llm-relay-error" in got.headers) is (refusal.status not in (400, 413))
    assert got.headers["retry-after"] == "7"
    if _passes(client, provider, refusal):
        assert got.body == body


def _passes(client: Client, provider: Provider, refusal: Refusal) -> bool:
    """Whether the provider's own words pass: where the client's request is at fault, in the client's own protocol."""
    same = client.dialect.partition(".")[0] == provider.wire
    return same and refusal.gets in (400, 413)


@pytest.mark.parametrize(("client", "provider"), CELLS)
async def test_a_failure_inside_a_stream_ends_it_without_a_proper_end(
    kit: Kit, client: Client, provider: Provider
) -> None:
    stream = spoken(client, provider).begun(Reply("Hello, wor")) + provider.failure("the clock is broken")
    got = await ask(
        kit, client, provider, SCENES["text"].ask, "stream", answered(stream, content_type=provider.stream_type)
    )
    assert got.status == 200
    text, message = client.broken(got.body)
    assert text == "Hello, wor"
    assert "the clock is broken" in message


# --- bytes ------------------------------------------------------------------------------------------------------------


def machine(client: Client, provider: Provider, asked: Ask) -> Watch:
    """What a stream goes through on its way from this provider to this client."""
    request = DIALECTS[client.dialect].decode_request(_request(client, asked))
    wire = WIRES[provider.wire]
    if client.wire == provider.wire:
        return wire.watch(request)
    encoder = DIALECTS[client.dialect].encoder(request, "m", "0123456789abcdef01234567", 1_767_225_600.0)
    return Translated(wire.decoder(), encoder)


def _request(client: Client, asked: Ask) -> bytes:
    return json.dumps({"model": "m", "stream": True, **client.write(asked)}).encode()


@pytest.mark.parametrize(("client", "provider"), CELLS)
def test_it_does_not_matter_where_a_stream_is_cut(client: Client, provider: Provider) -> None:
    tools = "tools" in client.can
    said = SCENES["text"].reply
    reply = replace(said, calls=(PARIS,), stop="tools") if tools else said
    speaker = spoken(client, provider)
    stream = b"".join(speaker.stream(reply))

    def heard(*chunks: bytes) -> Reply:
        through = machine(client, provider, SCENES["text"].ask)
        out = b"".join([through.feed(chunk) for chunk in chunks])
        return client.listen(out + through.close())

    assert heard(stream) == reply
    assert heard(*(stream[place : place + 1] for place in range(len(stream)))) == reply
    for place in range(1, len(stream)):
        assert heard(stream[:place], stream[place:]) == reply


@pytest.mark.parametrize(("client", "provider"), TRANSLATED)
def test_no_line_ends_but_those_of_the_protocol(client: Client, provider: Provider) -> None:
    """Clients that split a stream as Python's ``str.splitlines`` does find whole lines all the same."""
    said = "one\u2028two\u2029three\x85four"
    through = machine(client, provider, SCENES["text"].ask)
    out = through.feed(b"".join(provider.stream(Reply(said, thinking=said)))) + through.close()
    assert out.decode().splitlines() == out.decode().split("\n")[:-1]
    assert client.listen(out).text == said
