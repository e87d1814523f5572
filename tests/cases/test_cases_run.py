"""What happens to the requests of tests: decisions, sessions, tool loops, failures, and how they are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cases.scene import Shell, folder, statuses, write

CODER, WRITER, EYES = "sandbox/coder", "sandbox/writer", "sandbox/eyes"
WINDOW = "x " * 9000


async def steps_of(shell: Shell, path: Path, test: str, **options: str) -> list[Any]:
    """Candidate (or error) and decision of every step of one test, which expects nothing that can fail."""
    printed = await shell("test", folder(path, f"- {test}", **options), "--format", "json")
    steps = printed.json["routers"][0]["tests"][0]["runs"][0]["steps"]
    return [(step["candidate"] or step["error"], step["decision"]) for step in steps]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("ask: Write Python", (CODER, "designated")),
        ("ask: A poem", (WRITER, "designated")),
        ("ask: A poem, image: true", (EYES, "only_candidate")),
        ("ask: A poem, image: true, fails: {sandbox/eyes: 503}", ("upstream_error", "only_candidate")),
        ("ask: Pictures please, json: true", (EYES, "designated")),
        ("ask: Python, tools: [clock], max_tokens: 5000", (WRITER, "designated")),
        (f"ask: Python {WINDOW}", (WRITER, "designated")),
        ("ask: x, designator: timeout", (WRITER, "fallback_timeout")),
        ("ask: x, designator: error", (WRITER, "fallback_error")),
        ("ask: x, designator: invalid", (WRITER, "fallback_invalid")),
        ("ask: x, designator: none", (WRITER, "fallback_none")),
        ("ask: Python, designator: sandbox/eyes", (EYES, "designated")),
        ("ask: x, image: true, designator: timeout", (EYES, "only_candidate")),
        ("ask: Python, fails: {sandbox/coder: 503}", (WRITER, "failover")),
        ("ask: Python, fails: {sandbox/coder: timeout, sandbox/writer: 500}", ("upstream_error", "failover")),
        ("ask: Python, fails: {sandbox/coder: refused}", (WRITER, "failover")),
        ("ask: Python, fails: {sandbox/coder: 429}", (WRITER, "failover")),
        ("ask: Python, fails: {sandbox/coder: 400}", ("upstream_rejected", "designated")),
        ("ask: Python, fails: {sandbox/coder: 413}", (WRITER, "failover")),
        ("messages: [{role: user}]", ("invalid_messages", None)),
        ("messages: [{role: user, content: [{type: noise}]}]", ("invalid_messages", None)),
        ("messages: [{role: system, content: Be}, {role: user, content: Python}]", (CODER, "designated")),
    ],
)
async def test_one_request(shell: Shell, tmp_path: Path, asked: str, expected: tuple[str, str | None]) -> None:
    assert await steps_of(shell, tmp_path, f"{{{asked}, not: {CODER}}}") == [expected]


CONVERSATION = """{steps: [
    {ask: Write Python, expect: sandbox/coder},
    {ask: And a poem},
    {ask: A clock, tools: [clock], calls: clock},
    {result: "12:00", tools: [clock]},
    {ask: On, fails: {sandbox/coder: 503}},
    {ask: And on},
    {ask: Much later pictures, after: 59m},
    {ask: Later still pictures, after: 61m},
    {ask: Look, image: true}]}"""


async def test_a_conversation_with_sessions(shell: Shell, tmp_path: Path) -> None:
    assert await steps_of(shell, tmp_path, CONVERSATION, strategy="session") == [
        (CODER, "designated"),
        (CODER, "session"),
        (CODER, "session"),
        (CODER, "tool_loop"),
        (WRITER, "failover"),
        (WRITER, "session"),
        (WRITER, "session"),
        (EYES, "designated"),
        (EYES, "session"),
    ]


async def test_a_conversation_without_sessions(shell: Shell, tmp_path: Path) -> None:
    found = await steps_of(shell, tmp_path, CONVERSATION)
    assert found[:4] == [
        (CODER, "designated"),
        (WRITER, "designated"),
        (CODER, "designated"),
        (CODER, "tool_loop"),
    ]


async def test_a_designator_that_keeps_failing_is_not_asked_any_more(shell: Shell, tmp_path: Path) -> None:
    failing = ", ".join(["{ask: x, designator: error}"] * 5)
    steps = f"{{steps: [{failing}, {{ask: Python, not: sandbox/eyes}}, {{ask: Python, after: 1m}}]}}"
    found = await steps_of(shell, tmp_path, steps)
    assert [decision for _, decision in found] == ["fallback_error"] * 5 + ["fallback_open", "designated"]


async def test_a_fallback_is_not_remembered(shell: Shell, tmp_path: Path) -> None:
    steps = "{steps: [{ask: Python, designator: timeout}, {ask: Python, expect: sandbox/coder}]}"
    assert await steps_of(shell, tmp_path, steps, strategy="session") == [
        (WRITER, "fallback_timeout"),
        (CODER, "designated"),
    ]


async def test_tests_know_nothing_of_each_other(shell: Shell, tmp_path: Path) -> None:
    tests = "- {ask: x, designator: sandbox/eyes, expect: sandbox/eyes}\n- {ask: x, expect: sandbox/coder}"
    printed = await shell("test", folder(tmp_path, tests, strategy="session"), "--format", "json")
    assert statuses(printed.json) == ["passed", "passed"]


WIRES = """\
kind: gateway
providers:
  one: {wire: openai, base_url: https://one.example/v1}
  two: {wire: anthropic, base_url: https://two.example}
  three: {wire: ollama, base_url: https://three.example}
"""
ROUTER = """\
name: smart
designator: {model: sandbox/designator}
candidates:
  - {model: one/m, purpose: One}
  - {model: two/m, purpose: Two}
  - {model: three/m, purpose: Three}
tests:
  - tools: [clock]
    steps:
      - {ask: x, designator: two/m, calls: clock}
      - {result: noon, expect: two/m, decision: tool_loop}
      - {ask: x, designator: three/m, calls: clock}
      - {result: noon, expect: three/m, decision: tool_loop}
      - {ask: x, designator: one/m, calls: clock}
      - {result: noon, expect: one/m, decision: tool_loop}
      - {ask: x, designator: two/m, image: true, fails: {two/m: 529}, expect: one/m, decision: failover}
      - {ask: x, designator: three/m, image: true, fails: {three/m: 500}, expect: one/m, decision: failover}
  - messages: [{role: user, content: [{type: image_url, image_url: {url: "https://x.example/a.png"}}]}]
    designator: three/m
    decision: failover
    reason: Ollama takes no pictures by URL
"""


async def test_candidates_of_every_wire(shell: Shell, tmp_path: Path) -> None:
    printed = await shell("test", write(tmp_path / "r", {"r.yaml": ROUTER, "g.yaml": WIRES}))
    assert printed.status == 0, printed.out


@pytest.mark.parametrize(
    ("test", "expected", "got"),
    [
        ("{ask: Python, expect: sandbox/eyes}", EYES, f"{CODER} (designated)"),
        ("{ask: Python, expect: [sandbox/eyes, sandbox/writer]}", f"{EYES} or {WRITER}", f"{CODER} (designated)"),
        ("{ask: Python, not: [sandbox/eyes, sandbox/coder]}", f"not {EYES} or {CODER}", f"{CODER} (designated)"),
        ("{ask: Python, decision: session}", "the decision session", f"{CODER} (designated)"),
        ("{ask: Python, error: no_candidate}", "the error no_candidate", f"{CODER} (designated)"),
        (
            "{ask: Python, image: true, max_tokens: 9, fails: {sandbox/eyes: timeout}, expect: sandbox/eyes}",
            EYES,
            "the error upstream_timeout: sandbox: no answer in time",
        ),
        ("{ask: x, fails: {sandbox/coder: 400}, decision: designated}", "an answer", "the error upstream_rejected"),
        (
            "{ask: x, fails: {sandbox/coder: 400}, not: sandbox/eyes}",
            "an answer, but not of sandbox/eyes",
            "the error upstream_rejected",
        ),
        ("{steps: [{ask: Python}, {ask: A poem, stays: true}]}", f"to stay with {CODER}", f"{WRITER} (designated)"),
        ("{steps: [{ask: Python}, {ask: Python, stays: false}]}", f"to leave {CODER}", f"{CODER} (designated)"),
    ],
)
async def test_what_was_expected_and_what_came(
    shell: Shell, tmp_path: Path, test: str, expected: str, got: str
) -> None:
    printed = await shell("test", folder(tmp_path, f"- {test}"))
    assert printed.status == 1
    lines = printed.out.splitlines()
    assert f"  expected  {expected}" in lines
    assert any(line.startswith(f"  got       {got}") for line in lines), printed.out
