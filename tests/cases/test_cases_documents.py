"""A router's tests as written: what is a mistake in them, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from gateway.config.load import load
from gateway.config.model import DecisionReason, RouterTest
from gateway.routing.decide import Reason
from tests.cases.scene import folder
from tests.config.folders import found, snapshot_of


def compiled(path: Path, test: str) -> RouterTest:
    return snapshot_of(load(folder(path, f"- {test}"), {})).routers["smart"].tests[0]


def test_tests_know_every_reason_for_a_decision() -> None:
    literals = {value for kind in get_args(Reason) for value in get_args(kind) or (kind,)}
    assert set(get_args(DecisionReason)) == literals


@pytest.mark.parametrize(
    ("test", "expected", "words"),
    [
        ("{ask: x, decision: lucky}", "E207 tests[0].decision", "designated"),
        ("{ask: x, error: Not Found}", "E203 tests[0].error", "code of an error"),
        ("{ask: x, expect: sandbox/codr}", "E306 tests[0].expect", 'did you mean "sandbox/coder"?'),
        ("{ask: x, designator: sandbox/codr, decision: failover}", "E306 tests[0].designator", "sandbox/coder"),
        ("{ask: x, designator: timeuot, decision: failover}", "E306 tests[0].designator", 'did you mean "timeout"?'),
        (
            "{ask: x, fails: {sandbox/x: 503}, decision: failover}",
            'E306 tests[0].fails["sandbox/x"]',
            "is not a candidate",
        ),
        (
            "{ask: x, fails: {sandbox/coder: 200}, decision: failover}",
            'E203 tests[0].fails["sandbox/coder"]',
            "too small",
        ),
        (
            "{ask: x, fails: {sandbox/coder: slow}, decision: failover}",
            'E203 tests[0].fails["sandbox/coder"]',
            "timeout",
        ),
        ("{ask: x, expect: sandbox/coder, not: sandbox/coder}", "E209 tests[0].not", "expected too"),
        ("{ask: x, expect: sandbox/coder, error: no_candidate}", "E209 tests[0].expect", "exclude each other"),
        ("{messages: [{role: user, content: x}], image: true, decision: designated}", "E209 tests[0].image", "ask"),
        ("{steps: [{ask: x}]}", "E205 tests[0].steps", "no step expects anything"),
        ("{steps: []}", "E206 tests[0].steps", "too few"),
        ("{ask: x, steps: [{ask: x, stays: true}, {ask: y, stays: true}]}", "E209 tests[0].ask", "move it into a step"),
        ("{not: sandbox/coder, steps: [{ask: x, error: a}]}", "E209 tests[0].not", "not and steps exclude each other"),
        ("{steps: [{expect: sandbox/coder}]}", "E205 tests[0].steps[0]", "messages or result"),
        ("{steps: [{ask: x, result: y, expect: sandbox/coder}]}", "E209 tests[0].steps[0].result", "exclude"),
        ("{steps: [{result: y, expect: sandbox/coder}]}", "E205 tests[0].steps[0].result", "calls: NAME"),
        ("{steps: [{ask: x, after: 5, expect: sandbox/coder}]}", "E203 tests[0].steps[0].after", "is not a text"),
        ("{steps: [{ask: x, stays: true}]}", "W408 tests[0].steps[0].stays", "no step is before"),
        ("{ask: x, stays: true}", "E204 tests[0].stays", "no such field"),
    ],
)
def test_mistakes(tmp_path: Path, test: str, expected: str, words: str) -> None:
    loaded = load(folder(tmp_path, f"- {test}"), {})
    said = [problem.partition(" ")[2] for problem in found(loaded, tmp_path / "routers.d")]
    assert expected in said
    assert words in " ".join(map(str, loaded.problems))


def test_a_step_has_what_its_test_has_unless_it_says_otherwise(tmp_path: Path) -> None:
    test = compiled(
        tmp_path,
        "{name: All, tools: [clock, {type: function, function: {name: map}}], json: true, max_tokens: 5,"
        " messages: [{role: system, content: Be brief}],"
        " steps: [{ask: x, stays: false, after: 2h}, {ask: y, tools: [lamp], json: false, max_tokens: 7,"
        " expect: [sandbox/coder, SANDBOX/eyes]}]}",
    )
    assert (test.name, test.messages[0].content) == ("All", "Be brief")
    first, second = test.requests
    assert [tool["function"]["name"] for tool in first.tools] == ["clock", "map"]
    assert (first.json, first.max_tokens, first.after, first.stays) == (True, 5, 7200.0, False)
    assert [tool["function"]["name"] for tool in second.tools] == ["lamp"]
    assert (second.json, second.max_tokens, second.expect) == (False, 7, ("sandbox/coder", "sandbox/eyes"))


def test_a_test_without_steps_is_its_own_only_request(tmp_path: Path) -> None:
    test = compiled(tmp_path, "{ask: See, image: true, fails: {Sandbox/Eyes: 503}, decision: only_candidate}")
    assert test.requests == (test,)
    assert test.fails == {"sandbox/eyes": 503}
    content = test.messages[0].content
    assert content is not None
    assert [part["type"] for part in content if not isinstance(part, str)] == ["text", "image_url"]
