"""`llm-relay test`: recordings and their age, live runs, repeats, gates, reports and exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import sys
import xml.etree.ElementTree as ET
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cases.scene import Judge, Shell, folder, router, statuses, write
from tests.faultserver import answer

ROOT = Path(__file__).parents[2]

TESTS = """\
- {ask: Write Python, expect: sandbox/coder}
- {ask: A poem, expect: sandbox/writer, reason: Poems are for writers}
- {ask: A poem, designator: timeout, decision: fallback_timeout}
"""


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    async with Judge() as server:
        server.choose = lambda brief: "sandbox/coder" if "Python" in brief["ask"] else "sandbox/writer"
        yield server


# --- recordings -------------------------------------------------------------------------------------------------------


async def test_record_once_then_run_offline(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    before = await shell("test", place)
    assert before.status == 1
    assert f'{place}/smart.yaml:10: ERROR "Write Python"' in before.out
    told = f"smart: no answers of the designator are recorded; run: llm-relay test {place} --record --router smart"
    assert told in before.out
    assert "1 passed, 2 could not be judged: FAILED" in before.out
    assert not judge.requests, "nothing is asked offline"

    recorded = await shell("test", place, "--record")
    assert recorded.status == 0, recorded.out
    assert "recorded: 2 answers new, 0 kept" in recorded.out
    assert len(judge.requests) == 2, "what a test plays is not asked"

    await judge.refuse()
    offline = await shell("test", place, "--format", "json")
    assert offline.status == 0
    assert offline.json["ok"] is True
    sources = [test["runs"][0]["steps"][0]["designator"]["source"] for test in offline.json["routers"][0]["tests"]]
    assert sources == ["recording", "recording", "test"]


async def test_recordings_are_no_part_of_the_configuration(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    before = (await shell("validate", place)).out
    await shell("test", place, "--record")
    assert (place / "recordings" / "smart.yaml").is_file()
    assert (await shell("validate", place)).out == before


async def test_only_what_is_missing_is_asked(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    await shell("test", place, "--record")
    path = place / "recordings" / "smart.yaml"
    text = path.read_text(encoding="utf-8")
    again = await shell("test", place, "--record")
    assert "recorded: 0 answers new, 2 kept" in again.out
    assert path.read_text(encoding="utf-8") == text

    judge.folder(tmp_path, f"- {{ask: More Python, expect: sandbox/coder}}\n{TESTS}")
    more = await shell("test", place, "--record")
    assert "recorded: 1 answer new, 2 kept" in more.out
    assert [brief["ask"] for brief in judge.briefs] == ["Write Python", "A poem", "More Python"]
    assert path.read_text(encoding="utf-8").endswith(text.partition("answers:\n")[2])

    everything = await shell("test", place, "--record", "--live")
    assert "recorded: 3 answers new, 0 kept" in everything.out
    assert len(judge.requests) == 6


async def test_the_routers_that_are_shipped_are_recorded(shell: Shell, tmp_path: Path) -> None:
    place = tmp_path / "routers.d"
    shutil.copytree(ROOT / "routers.d", place)
    assert (await shell("test", place)).status == 0
    path = place / "smart.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Greetings, small talk", "Greetings"), encoding="utf-8")
    printed = await shell("test", place)
    assert (printed.status, "stale" in printed.out) == (1, True)
    assert f"run: llm-relay test {place} --record --router smart" in printed.out
    assert (await shell("test", place, "--record", "--router", "smart")).status == 0
    assert (await shell("test", place)).status == 0


async def test_the_sandbox_needs_no_recording(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    path = place / "smart.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("judge/m", "sandbox/designator"), encoding="utf-8")
    assert (await shell("test", place)).status == 0


@pytest.mark.parametrize(
    ("was", "becomes", "why"),
    [
        ("Poems and stories", "Poems", "stale: the candidates, or what is said of them, have changed"),
        (
            "  - {model: sandbox/eyes, purpose: Pictures}\n",
            "",
            "stale: the candidates, or what is said of them, have changed",
        ),
        ("judge/m", "sandbox/designator", "stale: it is of another designator, judge/m"),
        ("judge/m", "judge/other", "stale: it is of another designator, judge/m"),
        ("A poem", "A short poem", "recorded for this request: it is new or has changed"),
    ],
)
async def test_a_change_leaves_recordings_stale(
    shell: Shell, judge: Judge, tmp_path: Path, was: str, becomes: str, why: str
) -> None:
    place = judge.folder(tmp_path, TESTS)
    await shell("test", place, "--record")
    path = place / "smart.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(was, becomes), encoding="utf-8")
    printed = await shell("test", place)
    assert printed.status == 1
    assert why in printed.out
    assert f"run: llm-relay test {place} --record --router smart" in printed.out
    assert (await shell("test", place, "--record")).status == 0
    assert (await shell("test", place)).status == 0


async def test_conversations_are_recorded_step_by_step(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    steps = "- steps: [{ask: Write Python, expect: sandbox/coder}, {ask: A poem, expect: sandbox/writer}]\n"
    place = judge.folder(tmp_path, steps)
    assert (await shell("test", place, "--record")).status == 0
    assert judge.briefs[1]["earlier"] == ["Write Python"]
    assert (await shell("test", place)).status == 0


async def test_a_broken_recording_is_said_and_replaced(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    write(place / "recordings", {"smart.yaml": "<<<<<<< HEAD\n"})
    printed = await shell("test", place)
    assert printed.status == 1
    assert "the recording cannot be read" in printed.out
    assert (await shell("test", place, "--record")).status == 0
    assert (await shell("test", place)).status == 0


async def test_what_the_designator_did_not_answer_is_not_recorded(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    judge.script = [answer('{"error": {"message": "no"}}', 500)]
    printed = await shell("test", place, "--record")
    assert printed.status == 1
    assert "the designator did not answer: no" in printed.out
    assert not (place / "recordings").exists()


# --- live -------------------------------------------------------------------------------------------------------------


async def test_live_asks_whatever_is_recorded(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    await shell("test", place, "--record")
    judge.choose = lambda brief: "sandbox/eyes"
    assert (await shell("test", place)).status == 0
    live = await shell("test", place, "--live")
    assert live.status == 1
    assert '  answered  "sandbox/eyes", just now' in live.out
    assert "  why       Poems are for writers" in live.out
    assert (await shell("test", place)).status == 0, "nothing was written"


async def test_a_key_that_is_needed(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS, key="env:LLM_RELAY_NOBODY_SETS_THIS")
    printed = await shell("test", place, "--live")
    assert printed.status == 2
    assert "to ask the designator of smart the key of judge is needed: env:LLM_RELAY_NOBODY_SETS_THIS" in printed.err
    assert not judge.requests


async def test_progress_on_a_terminal(judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    ours, theirs = pty.openpty()
    try:
        command = (sys.executable, "-m", "gateway", "test", place, "--live")
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=theirs)
        out, _ = await process.communicate()
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0
    assert "smart: 3 of 3 tests" in shown
    assert b"of 3 tests\r" not in out


# --- repeats ----------------------------------------------------------------------------------------------------------

TIES = "- {ask: Nothing in common, expect: sandbox/coder}\n- {ask: A poem, expect: sandbox/writer}\n"


async def test_permutations_show_who_goes_by_the_order(shell: Shell, tmp_path: Path) -> None:
    place = folder(tmp_path, TIES)
    printed = await shell("test", place, "--permute", "--format", "json")
    assert printed.status == 0, "flips alone fail nothing"
    [smart] = printed.json["routers"]
    tie, clear = smart["tests"]
    assert len(tie["runs"]) == 5
    assert tie["flip_rate"] > 0
    assert clear["flip_rate"] == 0
    assert smart["flip_rate"] == tie["flip_rate"] / 2
    assert (await shell("test", place, "--permute", "--format", "json")).json["routers"] == [smart], "a fixed seed"

    gated = await shell("test", place, "--permute", "--max-flips", "0.1")
    assert gated.status == 1
    assert "FAILED: flip rate" in gated.out
    assert 'flips "Nothing in common"' in gated.out
    assert (await shell("test", place, "--permute", "--max-flips", "1")).status == 0


async def test_a_permuted_prompt_has_all_names_in_the_same_order(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, "- {ask: A poem, expect: sandbox/coder}")
    judge.choose = lambda brief: str(brief["eligible"][0])
    printed = await shell("test", place, "--live", "--permute", "--repeat", "7", "--format", "json")
    orders = [brief["eligible"] for brief in judge.briefs]
    assert len(orders) == 7
    assert orders[0] == ["sandbox/coder", "sandbox/writer", "sandbox/eyes"]
    assert all(order != orders[0] for order in orders[1:])
    assert len({tuple(order) for order in orders}) > 2
    for order, system in zip(orders, judge.systems, strict=True):
        assert [line.split()[1].rstrip(":") for line in system.splitlines() if line.startswith("- ")] == order
    [smart] = printed.json["routers"]
    chosen = [run["steps"][0]["candidate"] for run in smart["tests"][0]["runs"]]
    assert chosen == [order[0] for order in orders]
    assert smart["flip_rate"] == sum(each != chosen[0] for each in chosen) / 6


async def test_repeats_ask_again(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS)
    refused = await shell("test", place, "--repeat", "3")
    assert (refused.status, "its designator must be asked: add --live" in refused.err) == (2, True)
    answers = iter(["sandbox/coder", "sandbox/eyes", "sandbox/coder"])
    judge.choose = lambda brief: "sandbox/writer" if "poem" in brief["ask"] else next(answers)
    printed = await shell("test", place, "--live", "--repeat", "3", "--record")
    assert printed.status == 0
    assert "3 of 3 tests passed, accuracy 0.86, flip rate 0.25 in 4 repeats" in printed.out
    assert 'flips "Write Python": 1 of 2 repeats, to sandbox/eyes' in printed.out
    assert len(judge.requests) == 6, "a test that plays its designator is not repeated"
    judge.script = [answer("{}", 500)]
    assert (await shell("test", place)).status == 0, "the first answers were recorded"


# --- gates, reports, statuses -----------------------------------------------------------------------------------------

MIXED = """\
- {ask: Python, expect: sandbox/coder}
- {ask: Python, name: Wrong, expect: sandbox/writer}
- {ask: A poem, expect: sandbox/writer}
- {ask: A poem, not: sandbox/writer, reason: "Less <poetry> & noise"}
"""


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ((), 1, "2 failed: FAILED"),
        (("--min-accuracy", "0.5"), 0, "2 failed: ok"),
        (("--min-accuracy", "0.6"), 1, "FAILED: accuracy 0.5 is under 0.6"),
    ],
)
async def test_how_much_is_enough(
    shell: Shell, tmp_path: Path, options: tuple[str, ...], status: int, words: str
) -> None:
    printed = await shell("test", folder(tmp_path, MIXED), *options)
    assert printed.status == status
    assert words in printed.out


async def test_what_could_not_be_judged_is_never_enough(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    assert (await shell("test", judge.folder(tmp_path, TESTS), "--min-accuracy", "0")).status == 1


async def test_the_text(shell: Shell, tmp_path: Path) -> None:
    place = folder(tmp_path, MIXED)
    printed = await shell("test", place)
    assert printed.out == (
        f'{place}/smart.yaml:11: FAILED "Wrong"\n'
        "  expected  sandbox/writer\n"
        "  got       sandbox/coder (designated)\n"
        '  answered  "sandbox/coder", from the sandbox\n'
        f'{place}/smart.yaml:13: FAILED "A poem"\n'
        "  expected  not sandbox/writer\n"
        "  got       sandbox/writer (designated)\n"
        '  answered  "sandbox/writer", from the sandbox\n'
        "  why       Less <poetry> & noise\n"
        f"smart ({place}/smart.yaml, designator sandbox/designator): 2 of 4 tests passed, accuracy 0.50\n"
        "  expected, and who answered:  1  2\n"
        "  1 sandbox/coder              1  ·\n"
        "  2 sandbox/writer             1  1\n"
        "\n"
        "4 tests: 2 passed, 2 failed: FAILED\n"
    )


async def test_the_json(shell: Shell, tmp_path: Path) -> None:
    report = (await shell("test", folder(tmp_path, MIXED), "--format", "json")).json
    assert statuses(report) == ["passed", "failed", "passed", "failed"]
    [smart] = report["routers"]
    assert (smart["passed"], smart["failed"], smart["errors"], smart["accuracy"]) == (2, 2, 0, 0.5)
    assert smart["confusion"] == {
        "sandbox/coder": {"sandbox/coder": 1},
        "sandbox/writer": {"sandbox/coder": 1, "sandbox/writer": 1},
    }
    step = smart["tests"][1]["runs"][0]["steps"][0]
    assert step["findings"] == [{"expected": "sandbox/writer", "got": "sandbox/coder (designated)"}]
    assert (step["line"], step["candidate"], step["decision"]) == (11, "sandbox/coder", "designated")


async def test_the_junit_file(shell: Shell, tmp_path: Path) -> None:
    place, out = folder(tmp_path, MIXED), tmp_path / "report.xml"
    printed = await shell("test", place, "--format", "junit", "--output", out)
    assert printed.status == 1
    assert printed.out.endswith("4 tests: 2 passed, 2 failed: FAILED\n"), "people still get their text"
    root = ET.parse(out).getroot()
    assert (root.tag, root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == (
        "testsuites",
        "4",
        "2",
        "0",
    )
    [suite] = root
    assert (suite.attrib["name"], suite.attrib["tests"], suite.attrib["failures"]) == ("smart", "4", "2")
    names = [case.attrib["name"] for case in suite]
    assert names == ["Python", "Wrong", "A poem (line 12)", "A poem (line 13)"]
    failure = suite[3][0]
    assert (suite[3].attrib["file"], suite[3].attrib["line"]) == (f"{place}/smart.yaml", "13")
    assert failure.attrib["message"] == "expected not sandbox/writer, got sandbox/writer (designated)"
    assert failure.text == f"{failure.attrib['message']}\nLess <poetry> & noise"


async def test_junit_agrees_with_the_exit_status(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    tolerant = ("--format", "junit", "--min-accuracy", "0.5")
    printed = await shell("test", folder(tmp_path, MIXED), *tolerant)
    root = ET.fromstring(printed.out)
    assert (printed.status, root.attrib["failures"], root.attrib["skipped"]) == (0, "0", "2")
    printed = await shell("test", folder(tmp_path, MIXED), "--format", "junit", "--min-accuracy", "0.9")
    root = ET.fromstring(printed.out)
    assert (printed.status, root.attrib["failures"]) == (1, "1")
    assert [case.attrib["name"] for case in root.iter("testcase") if case.find("failure") is not None] == ["accuracy"]
    printed = await shell("test", judge.folder(tmp_path, TESTS), "--format", "junit")
    root = ET.fromstring(printed.out)
    assert (printed.status, root.attrib["errors"], root.attrib["failures"]) == (1, "2", "0")


async def test_junit_says_only_what_xml_can(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    judge.choose = lambda brief: "sandbox/coder\x00\x1b[31m"
    place = judge.folder(tmp_path, "- {ask: A poem, name: 'Ünï & <x>', expect: sandbox/coder}")
    printed = await shell("test", place, "--live", "--format", "junit")
    assert [case.attrib["name"] for case in ET.fromstring(printed.out).iter("testcase")] == ["Ünï & <x>"]


async def test_what_github_shows(shell: Shell, tmp_path: Path) -> None:
    place = folder(tmp_path, MIXED)
    printed = await shell("test", place, "--format", "github")
    first, second, text = printed.out.split("\n", 2)
    assert first == (
        f"::error file={place}/smart.yaml,line=11,col=1,title=test::"
        "Wrong: expected sandbox/writer, got sandbox/coder (designated)"
    )
    assert second.endswith("got sandbox/writer (designated); Less <poetry> & noise")
    assert text == (await shell("test", place)).out
    tolerant = await shell("test", place, "--format", "github", "--min-accuracy", "0")
    assert (tolerant.status, tolerant.out.count("::warning "), tolerant.out.count("::error ")) == (0, 2, 0)


async def test_some_routers_only(shell: Shell, tmp_path: Path) -> None:
    files = {"smart.yaml": router(TESTS), "other.yaml": router(TESTS).replace("name: smart", "name: other")}
    place = write(tmp_path / "r", files)
    report = (await shell("test", place, "--router", "other", "--format", "json")).json
    assert [each["router"] for each in report["routers"]] == ["other"]
    both = await shell("test", "--router", "other", place, "--router", "smart", "--format", "json")
    assert len(both.json["routers"]) == 2


async def test_a_router_without_tests(shell: Shell, tmp_path: Path) -> None:
    place = write(tmp_path / "r", {"smart.yaml": router("[]").replace("tests:\n  []", "tests: []")})
    printed = await shell("test", place)
    assert (printed.status, printed.out) == (0, f"smart ({place}/smart.yaml): no tests\n\n0 tests: 0 passed: ok\n")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--router", "smrt"), 2, "there is no router 'smrt'; did you mean \"smart\"?"),
        (("--max-flips", "2"), 2, "'2' is no part of a whole"),
        (("--min-accuracy", "nan"), 2, "'nan' is no part of a whole"),
        (("--repeat", "0"), 2, "'0' is no number of runs"),
        (("--format", "html"), 2, "invalid choice"),
        (("--output", "/nowhere/at/all"), 2, "No such file or directory"),
    ],
)
async def test_wrong_usage(shell: Shell, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    printed = await shell("test", folder(tmp_path, TESTS), *arguments)
    assert printed.status == status
    assert words in printed.err


async def test_a_configuration_that_is_not_valid(shell: Shell, tmp_path: Path) -> None:
    printed = await shell("test", folder(tmp_path, "- {ask: x, expect: sandbox/nobody}"))
    assert printed.status == 1
    assert "E306" in printed.err


async def test_the_demo_passes_without_keys_or_network(shell: Shell) -> None:
    printed = await shell("test", ROOT / "routers.d", "--format", "json")
    assert printed.status == 0
    assert set(statuses(json.loads(printed.out))) == {"passed"}
