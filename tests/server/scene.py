"""A designator and some candidates, all played by one scripted server, and the documents that lead to them.

Providers are told apart by the first segment of their path; each has one model, called ``m``::

    async with Scene() as scene, Gateway(tmp_path, scene.files()) as gateway:
        scene.choice = "beta/m"                     # what the designator answers from here on
        scene.play("alpha", answer("{}", 503))      # what alpha does instead of answering
        assert scene.calls("judge") == 1
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx

from tests.faultserver import FaultServer, Request, Script, Step, answer, chunk, end, head

JUDGE = "judge"
CANDIDATES = ("alpha", "beta", "gamma")
#: A stream's way of saying that it is whole.
DONE = "data: [DONE]\n\n"


class Scene(FaultServer):
    """Provider ``judge`` names :attr:`choice`, every other one answers with its own name."""

    def __init__(self) -> None:
        super().__init__(respond=self._act)
        self.choice = "alpha/m"
        self._plays: dict[str, Script] = {}

    def begin(self) -> None:
        """As at the start: nothing was asked, nobody plays anything."""
        self.choice = "alpha/m"
        self._plays.clear()
        self.requests.clear()

    def play(self, provider: str, *steps: Step) -> None:
        """Let ``provider`` do these steps for every request, or behave again where there are none."""
        if steps:
            self._plays[provider] = steps
        else:
            self._plays.pop(provider, None)

    def calls(self, provider: str) -> int:
        """How many requests ``provider`` got so far."""
        return sum(request.target.startswith(f"/{provider}/") for request in self.requests)

    def bodies(self, provider: str) -> list[Any]:
        """What it was asked, decoded."""
        return [json.loads(each.body) for each in self.requests if each.target.startswith(f"/{provider}/")]

    def _act(self, request: Request) -> Script:
        provider = request.target.split("/")[1]
        if provider in self._plays:
            return self._plays[provider]
        if provider == JUDGE:
            return [answer(completion(self.choice))]
        if json.loads(request.body).get("stream"):
            return streamed(provider)
        return [answer(completion(provider))]

    # --- the configuration ------------------------------------------------------------------------------------------

    def gateway(self, *, models: str = "", more: str = "") -> str:
        """The gateway document; ``models`` and ``more`` are YAML."""
        lines = ["kind: gateway", "providers:"]
        lines += [f"  {name}: {{wire: openai, base_url: '{self.url}/{name}/v1'}}" for name in (JUDGE, *CANDIDATES)]
        return "\n".join([*lines, models, more, ""])

    def files(self, **options: Any) -> dict[str, str]:
        """The gateway document, and the router ``smart`` with these options of :func:`router`."""
        return {"gateway.yaml": self.gateway(), "smart.yaml": router(**options)}


def router(
    name: str = "smart",
    *,
    candidates: Iterable[str] = ("alpha", "beta"),
    strategy: str = "per_request",
    ttl: str = "",
    description: str = "A router",
    timeout: str = "5s",
) -> str:
    """A router's document. Its designator is ``judge/m``, its fallback the first candidate."""
    session = f"session: {{ttl: {ttl}}}\n" if ttl else ""
    listed = "".join(f"  - {{model: {each}/m, purpose: Purpose of {each}}}\n" for each in candidates)
    return (
        f"name: {name}\ndescription: {description}\ndesignator: {{model: {JUDGE}/m, timeout: {timeout}}}\n"
        f"strategy: {strategy}\n{session}candidates:\n{listed}"
    )


# --- OpenAI's wire, as the providers speak it -------------------------------------------------------------------------


def completion(text: str, **message: Any) -> str:
    """A whole answer; ``message`` are further fields of the turn, such as ``tool_calls``."""
    finish = "tool_calls" if "tool_calls" in message else "stop"
    turn = {"role": "assistant", "content": text, **message}
    return json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": turn, "finish_reason": finish}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
        }
    )


def tool_call(id: str) -> str:
    """A whole answer that asks for a tool."""
    function = {"name": "clock", "arguments": "{}"}
    return completion("", tool_calls=[{"id": id, "type": "function", "function": function}])


def delta(text: str) -> str:
    """One event of a stream: some text."""
    return event({"content": text})


def finish() -> str:
    """The last event of a stream before :data:`DONE`."""
    return event({}, "stop")


def streamed(*texts: str) -> Script:
    """A whole streamed answer."""
    return [head(), *(chunk(delta(text)) for text in texts), chunk(finish()), chunk(DONE), end()]


def event(delta: dict[str, Any], finish_reason: str | None = None) -> str:
    """One event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    whole = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(whole)}\n\n"


# --- what clients ask -------------------------------------------------------------------------------------------------


def turns(first: str, count: int = 1, *, system: str | None = None) -> list[dict[str, Any]]:
    """A conversation at its turn number ``count``, which began with ``first``."""
    messages: list[dict[str, Any]] = [] if system is None else [{"role": "system", "content": system}]
    messages.append({"role": "user", "content": first})
    for number in range(2, count + 1):
        messages += [{"role": "assistant", "content": "I see."}, {"role": "user", "content": f"Turn {number}"}]
    return messages


async def ask(
    client: httpx.AsyncClient,
    messages: list[dict[str, Any]] | str,
    *,
    model: str = "smart",
    stream: bool = False,
    key: str | None = None,
    session: str | None = None,
    **fields: Any,
) -> httpx.Response:
    """One chat in OpenAI's dialect."""
    headers = {}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    if session is not None:
        headers["x-llm-relay-session"] = session
    body = {"model": model, "messages": turns(messages) if isinstance(messages, str) else messages, **fields}
    if stream:
        body["stream"] = True
    return await client.post("/v1/chat/completions", json=body, headers=headers)


def told(response: httpx.Response) -> tuple[str, str]:
    """Who answered, and why: the two headers that say so. An answer without them fails the test."""
    assert response.status_code == 200, response.text
    return response.headers["x-llm-relay-routed-to"], response.headers["x-llm-relay-decision"]
