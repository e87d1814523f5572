"""`llm-relay explain` and `POST /status/explain`: one decision, step by step, and nothing sent to a candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cases.scene import FACTS, Judge, Shell, folder, router, write
from tests.faultserver import answer
from tests.gatewayprocess import Gateway

TESTS = "- {ask: Write Python, expect: sandbox/coder}\n"
TOOL_LOOP = [
    {"role": "user", "content": "What is the time?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "noon"},
]


async def explained(shell: Shell, place: Path, *arguments: object) -> Any:
    printed = await shell("explain", "smart", *arguments, place, "--format", "json")
    assert printed.status == 0, printed.err
    return printed.json


async def test_every_step(shell: Shell, tmp_path: Path) -> None:
    found = await explained(shell, folder(tmp_path, TESTS), "--ask", "Write Python")
    assert (found["router"], found["file"], found["line"]) == ("smart", "smart.yaml", 1)
    assert found["needs"]["tokens"] > 0
    assert [each["obstacle"] for each in found["candidates"]] == [None, None, None]
    assert found["session"] == {
        "strategy": "per_request",
        "key": None,
        "ttl": None,
        "remembered": None,
        "tool_call": None,
    }
    prompt = found["prompt"]
    assert (prompt["designator"], prompt["timeout"], prompt["usd_per_1000"]) == ("sandbox/designator", 5.0, None)
    assert "- sandbox/coder: Python and other code" in prompt["system"]
    assert json.loads(prompt["user"])["ask"] == "Write Python"
    assert found["answer"] == {
        "source": "sandbox",
        "text": "sandbox/coder",
        "failure": None,
        "names": "sandbox/coder",
        "miss": None,
    }
    assert found["decision"] == {"candidate": "sandbox/coder", "reason": "designated"}
    assert found["error"] is None
    assert found["failover"] == [
        {"code": "upstream_error", "candidate": "sandbox/writer"},
        {"code": "upstream_rate_limited", "candidate": "sandbox/writer"},
        {"code": "context_length_exceeded", "candidate": "sandbox/writer"},
    ]


async def test_the_words(shell: Shell, tmp_path: Path) -> None:
    place = folder(tmp_path, TESTS, strategy="session")
    printed = await shell("explain", "Smart", "--ask", "Write Python", place)
    assert printed.status == 0
    for words in (
        "smart (smart.yaml:1), revision ",
        "  about 7 tokens of prompt\n",
        "  sandbox/coder   eligible\n",
        ": new; who is designated is remembered for 1h\n",
        "for sandbox/designator, within 5s\n",
        "its price is unknown",
        "    - sandbox/coder: Python and other code; cost: unknown\n",
        '    {"eligible":["sandbox/coder",',
        'Answer, in the sandbox\n  "sandbox/coder"\n  names sandbox/coder\n',
        "Decision\n  sandbox/coder (designated)\n",
        "  if it fails: sandbox/writer\n",
    ):
        assert words in printed.out


async def test_messages_come_before_the_ask(shell: Shell, tmp_path: Path) -> None:
    place = folder(tmp_path, TESTS)
    file = tmp_path / "messages.json"
    file.write_text(json.dumps([{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Python"}]))
    found = await explained(shell, place, "--messages", file, "--ask", "A poem")
    assert json.loads(found["prompt"]["user"]) | {"facts": {}} == {
        "eligible": ["sandbox/coder", "sandbox/writer", "sandbox/eyes"],
        "facts": {},
        "ask": "A poem",
        "system": "Be brief",
        "earlier": ["Python"],
    }


async def test_a_whole_request(shell: Shell, tmp_path: Path) -> None:
    place = folder(tmp_path, TESTS)
    file = tmp_path / "request.json"
    tools = [{"type": "function", "function": {"name": "clock"}}]
    body = {"messages": TOOL_LOOP, "tools": tools, "max_tokens": 5000, "stream": True, "model": "other"}
    file.write_text(json.dumps(body))
    found = await explained(shell, place, "--messages", file)
    assert found["needs"] | {"tokens": 0} == {
        "tokens": 0,
        "output": 5000,
        "vision": False,
        "tools": True,
        "json": False,
        "audio": False,
        "pdf": False,
    }
    assert found["candidates"][0]["obstacle"].startswith("has a context of 4,000 tokens, too small")
    assert found["session"]["tool_call"] == "c1"
    assert found["decision"]["reason"] == "designated", "nobody remembers who asked for the tool"
    printed = await shell("explain", "smart", "--messages", file, place)
    assert "a tool's result goes back to the model that asked for it" in printed.out
    assert "up to 5,000 of answer, tools" in printed.out


async def test_nothing_to_choose(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "picture.json"
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    file.write_text(json.dumps([{"role": "user", "content": [picture]}]))
    found = await explained(shell, folder(tmp_path, TESTS), "--messages", file)
    assert [each["obstacle"] for each in found["candidates"]] == ["cannot read images", "cannot read images", None]
    assert (found["prompt"], found["answer"]) == (None, None)
    assert found["decision"] == {"candidate": "sandbox/eyes", "reason": "only_candidate"}
    assert {each["candidate"] for each in found["failover"]} == {None}


async def test_a_request_that_is_refused(shell: Shell, tmp_path: Path) -> None:
    document = router(TESTS).replace("  - {model: sandbox/eyes, purpose: Pictures}\n", "")
    place = write(tmp_path / "r", {"smart.yaml": document, "gateway.yaml": FACTS})
    file = tmp_path / "picture.json"
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    file.write_text(json.dumps([{"role": "user", "content": [picture]}]))
    found = await explained(shell, place, "--messages", file)
    assert (found["decision"], found["failover"]) == (None, [])
    assert (found["error"]["code"], found["error"]["status"]) == ("no_candidate", 400)
    printed = await shell("explain", "smart", "--messages", file, place)
    assert "Refused\n  400 no_candidate: No candidate of smart can serve this request" in printed.out


async def test_recorded_live_and_unknown_answers(shell: Shell, tmp_path: Path) -> None:
    async with Judge() as judge:
        place = judge.folder(tmp_path, TESTS)
        unknown = await explained(shell, place, "--ask", "Write Python")
        assert (unknown["answer"]["source"], unknown["decision"]) == ("nobody", None)
        printed = await shell("explain", "smart", "--ask", "Write Python", place)
        assert "  none: no answers of the designator are recorded; --live asks\n" in printed.out
        assert not judge.requests

        await shell("test", place, "--record")
        recorded = await explained(shell, place, "--ask", "Write Python")
        assert (recorded["answer"]["source"], recorded["decision"]["reason"]) == ("recording", "designated")

        judge.choose = lambda brief: '{"candidate": "sandbox/eyes"}'
        live = await explained(shell, place, "--ask", "Write Python", "--live")
        assert (live["answer"]["source"], live["answer"]["names"]) == ("live", "sandbox/eyes")
        prompt = live["prompt"]
        assert prompt["usd_per_1000"] == pytest.approx((prompt["tokens"] + 2 * 7) * 1000 / 1e6)

        judge.choose = lambda brief: "sandbox/coder or sandbox/eyes"
        odd = await explained(shell, place, "--ask", "Write Python", "--live")
        assert (odd["answer"]["miss"], odd["decision"]["reason"]) == ("invalid", "fallback_invalid")
        judge.script = [answer('{"error": {"message": "no"}}', 500)]
        failed = await explained(shell, place, "--ask", "Write Python", "--live")
        assert (failed["answer"]["failure"], failed["decision"]["reason"]) == ("no", "fallback_error")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("smart",), 2, "give a request: --ask TEXT, or --messages FILE"),
        (("smrt", "--ask", "x"), 2, "no router 'smrt'; did you mean \"smart\"?"),
        (("smart", "--messages", "/nowhere.json"), 2, "No such file"),
        (("smart", "--messages", __file__), 2, "test_explain.py is not JSON: "),
        (("--ask", "x"), 2, "required: ROUTER"),
    ],
)
async def test_wrong_usage(shell: Shell, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    place = [folder(tmp_path, TESTS)] if "required" not in words else []
    printed = await shell("explain", *arguments, *place)
    assert printed.status == status
    assert words in printed.err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("5", "give a list of messages"),
        ('{"messages": 5}', "messages"),
        ('[{"role": "king"}]', "messages[0].role"),
        ("[" * 5000, "is not JSON"),
    ],
)
async def test_messages_that_are_none(shell: Shell, tmp_path: Path, body: str, words: str) -> None:
    file = tmp_path / "messages.json"
    file.write_text(body)
    printed = await shell("explain", "smart", "--messages", file, folder(tmp_path, TESTS))
    assert (printed.status, words in printed.err) == (2, True)


# --- the running gateway ----------------------------------------------------------------------------------------------


async def test_the_gateway_explains_what_it_would_do(tmp_path: Path) -> None:
    async with Judge() as judge:
        place = judge.folder(tmp_path, TESTS)
        document = (place / "smart.yaml").read_text(encoding="utf-8").replace("per_request", "session")
        write(place, {"smart.yaml": document})
        async with Gateway(tmp_path, {}) as gateway:

            async def explain(**body: Any) -> Any:
                response = await gateway.client.post("/status/explain", json={"router": "smart", **body})
                return response.status_code, response.json()

            status, new = await explain(ask="Write Python")
            assert (status, new["answer"]["source"], new["session"]["remembered"]) == (200, "live", None)
            assert new["decision"] == {"candidate": "sandbox/coder", "reason": "designated"}
            status, quiet = await explain(messages=[{"role": "user", "content": "Write Python"}], live=False)
            assert (status, quiet["decision"], quiet["answer"]["failure"]) == (
                200,
                None,
                "the designator was not asked",
            )
            assert quiet["prompt"]["user"] == new["prompt"]["user"]
            assert len(judge.requests) == 1

            judge.choose = lambda brief: "sandbox/eyes"
            question = {"model": "smart", "messages": [{"role": "user", "content": "Write Python"}]}
            served = await gateway.client.post("/v1/chat/completions", json=question)
            assert served.headers["x-llm-relay-routed-to"] == "sandbox/eyes", "explaining remembers nothing"
            _, known = await explain(ask="Write Python")
            assert known["session"] == new["session"] | {"remembered": "sandbox/eyes"}
            assert known["decision"] == {"candidate": "sandbox/eyes", "reason": "session"}
            assert known["prompt"] is None
            _, named = await explain(ask="Write Python", session="other")
            assert named["session"]["remembered"] is None
            rows = await gateway.stored("ledger")
            assert len(rows) == 1, "what was only explained is in no ledger"

            for body, code in (
                ({"ask": 5}, "invalid_ask"),
                ({"ask": "x", "live": "yes"}, "invalid_live"),
                ({"ask": "x", "client": "nobody"}, "invalid_client"),
                ({}, "invalid_messages"),
                ({"messages": []}, "invalid_messages"),
                ({"router": 5, "ask": "x"}, "invalid_router"),
            ):
                status, refused = await explain(**body)
                assert (status, refused["error"]["code"]) == (400, code)
            status, refused = await explain(router="other", ask="x")
            assert (status, refused["error"]["code"]) == (404, "model_not_found")
            missing = await gateway.client.post("/status/explain", json={"ask": "x"})
            assert missing.json()["error"]["code"] == "missing_router"
            assert (await gateway.client.get("/status/explain")).status_code == 405


async def test_only_operators_may_ask(tmp_path: Path) -> None:
    keys = {"CLIENT_KEY": "client-key-0123456789", "OPERATOR_KEY": "operator-key-0123456789"}
    document = (
        "kind: gateway\nclients: [{name: team, key: 'env:CLIENT_KEY', routers: []}]\n"
        "operators: [{name: ops, key: 'env:OPERATOR_KEY'}]\n"
    )
    files = {"gateway.yaml": document, "smart.yaml": router(TESTS)}
    async with Gateway(tmp_path, files, environ=keys) as gateway:
        body = {"router": "smart", "ask": "Write Python"}
        for key, expected in ((None, 401), (keys["CLIENT_KEY"], 401), (keys["OPERATOR_KEY"], 200)):
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            response = await gateway.client.post("/status/explain", json=body, headers=headers)
            assert response.status_code == expected
        headers = {"authorization": f"Bearer {keys['OPERATOR_KEY']}"}
        team = await gateway.client.post("/status/explain", json={**body, "client": "team"}, headers=headers)
        assert team.json()["error"]["code"] == "model_not_found", "the router is not for that client"
