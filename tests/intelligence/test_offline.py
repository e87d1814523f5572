"""Commands see the prompt that the gateway sends: recorded, tested, planned and explained with its assessments."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.explain import assessments
from gateway.explain.assessments import Background
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, Source, by_key
from gateway.intelligence.store import ChromaStore, place
from tests.cases.scene import Shell
from tests.gatewayprocess import Gateway
from tests.intelligence.kit import ENVIRON, FULL, NOW, SMALL, Web, assessment, documents, needs_chroma, snapshot, write
from tests.plan.test_base import git

TESTS = f"tests:\n  - {{ask: What is on this chart, expect: {FULL}}}\n  - {{ask: Hello, expect: {FULL}}}\n"
NOWHERE = "http://127.0.0.1:1"
DAY = 86400.0
#: Far from expiring on any day on which this runs.
LONG = 36500.0


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def folder(path: Path, url: str = NOWHERE, source: str = "file") -> Path:
    """A router with tests."""
    texts = documents(url, source=source)
    return write(path / "routers.d", {**texts, "smart.yaml": texts["smart.yaml"] + TESTS})


def review(place: Path, *found: Assessment) -> None:
    """What a merged pull request leaves in the file."""
    lockfile.write(place, "smart", found)


async def test_from_a_recording_to_the_gateway(shell: Shell, tmp_path: Path) -> None:
    web = Web()
    async with web.server() as server:
        routers = folder(tmp_path, server.url)
        review(routers, assessment(days=LONG))
        recorded = await shell("test", routers, "--record", "--format", "json")
        assert recorded.status == 0, recorded.out
        assert len(web.designations) == 2
        assert all('; assessment: "Strong at vision. Best for: charts."' in each for each in web.designations)
        await server.refuse()
        git(tmp_path, "init", "--quiet", "--initial-branch=main")
        git(tmp_path, "add", "routers.d")
        git(tmp_path, "commit", "--quiet", "--message=reviewed")

        offline = await shell("test", routers, "--format", "json")
        assert (offline.status, offline.json["routers"][0]["passed"]) == (0, 2), offline.out
        digest = offline.json["routers"][0]["prompt_digest"]
        explained = await shell("explain", "smart", routers, "--ask", "Hello", "--format", "json")
        assert explained.json["prompt"]["digest"] == digest
        assert explained.json["answer"]["source"] == "recording"

        environ = {**ENVIRON, "LLM_RELAY_INTELLIGENCE_POLL": "0.1"}
        async with Gateway(tmp_path, {}, environ=environ) as gateway:
            await gateway.until(lambda status: status["routers"][0]["prompt_digest"] == digest)
            body = {"router": "smart", "ask": "Hello", "live": False}
            served = (await gateway.client.post("/status/explain", json=body)).json()
            assert served["prompt"]["system"] == explained.json["prompt"]["system"]
            ages = ("age", "left")
            for ours, theirs in zip(explained.json["candidates"], served["candidates"], strict=True):
                assert ours["assessment"] | dict.fromkeys(ages) == theirs["assessment"] | dict.fromkeys(ages)

            review(routers, assessment(text="Weak at vision.", days=LONG))
            stale = await shell("test", routers)
            assert stale.status == 1
            why = "its recording is stale: the assessments of its candidates have changed"
            assert f"{why}; run: llm-relay test {routers} --record --router smart\n" in stale.out
            planned = await shell("plan", routers, "--base", "main", "--format", "json")
            prompt = planned.json["prompts"]["smart"]
            assert prompt["before"]["digest"] == digest
            assert [change["path"] for change in planned.json["plan"]["routers"][0]["changes"]] == [
                f"assessments[{FULL}]"
            ]
            assert [why in note for note in planned.json["notes"]] == [True]
            await gateway.until(lambda status: status["routers"][0]["prompt_digest"] == prompt["after"]["digest"])


async def test_repeats_in_other_orders_read_them_too(shell: Shell, tmp_path: Path) -> None:
    web = Web()
    async with web.server() as server:
        routers = folder(tmp_path, server.url)
        review(routers, assessment(days=LONG), assessment(SMALL, days=LONG))
        printed = await shell("test", routers, "--live", "--permute", "--repeat", "2")
        assert printed.status == 0, printed.out
        assert [each.count("; assessment: ") for each in web.designations] == [2] * 4
        assert len(set(web.designations)) == 2


async def test_an_expired_one_counts_in_tests_and_is_told(shell: Shell, tmp_path: Path) -> None:
    web = Web()
    async with web.server() as server:
        routers = folder(tmp_path, server.url)
        review(routers, assessment(made=time.time() - 2 * DAY, days=1))
        await shell("test", routers, "--record")
        assert "; assessment: " in web.designations[0]
    text = await shell("test", routers)
    assert text.status == 0, text.out
    assert f"  warning: the assessment of {FULL} has expired (" in text.out
    found = (await shell("test", routers, "--format", "json")).json["routers"][0]
    (note,) = found["notes"]
    assert note["severity"] == "warning"
    github = await shell("test", routers, "--format", "github")
    at = f"file={routers}/smart.yaml,line=1,col=1,title=assessments"
    assert github.out.startswith(f"::warning {at}::smart: the assessment of {FULL} has expired (")
    junit = ET.fromstring((await shell("test", routers, "--format", "junit")).out.encode())
    assert [each.get("name") for each in junit.findall("./testsuite/properties/property")] == ["warning"]
    # What is explained is what the gateway does now.
    explained = (await shell("explain", "smart", routers, "--ask", "Hello", "--format", "json")).json
    assert explained["prompt"]["digest"] != found["prompt_digest"]
    assert f"its prompt is {explained['prompt']['digest']}, not {found['prompt_digest']}." in note["text"]


@pytest.mark.parametrize("style", ["text", "github"])
async def test_a_file_with_a_mistake(shell: Shell, tmp_path: Path, style: str) -> None:
    routers = folder(tmp_path)
    review(routers, assessment(days=LONG))
    path = lockfile.path(routers, "smart")
    path.write_text(path.read_text().replace("confidence: medium", "confidence: sure"))
    printed = await shell("test", routers, "--format", style)
    assert printed.status == 1
    assert "E404" in (printed.out if style == "github" else printed.err)
    printed = await shell("explain", "smart", routers, "--ask", "Hello")
    assert (printed.status, "smart.yaml:13:17" in printed.err) == (1, True)


# --- explained --------------------------------------------------------------------------------------------------------


def told(explained: Any) -> list[Any]:
    return [candidate["assessment"] for candidate in explained["candidates"]]


@pytest.mark.parametrize(
    ("change", "found", "missing"),
    [
        ("", [assessment(days=LONG)], [None, "intelligence/smart.yaml has none"]),
        ("", [assessment(days=1), assessment(SMALL, days=LONG)], ["it expired ", None]),
        ("", [], ["intelligence/smart.yaml has none"] * 2),
        ("source: chroma", [assessment(days=LONG)], ["they are in ChromaDB, which is not asked here"] * 2),
        ("-", [assessment(days=LONG)], ["the router has no intelligence block"] * 2),
    ],
    ids=["one is known", "one has expired", "no file", "in ChromaDB", "no block"],
)
async def test_why_there_is_none(
    shell: Shell, tmp_path: Path, change: str, found: list[Assessment], missing: list[str | None]
) -> None:
    routers = folder(tmp_path)
    document = (routers / "smart.yaml").read_text()
    if change == "-":
        document = "".join(line for line in document.splitlines(True) if not line.startswith("intelligence:"))
    elif change:
        document = document.replace("source: file", change)
    write(routers, {"smart.yaml": document})
    if found:
        review(routers, *found)
    views = told((await shell("explain", "smart", routers, "--ask", "Hello", "--format", "json")).json)
    for view, why in zip(views, missing, strict=True):
        assert (view["text"] is None) == (why is not None)
        assert why is None or view["missing"].startswith(why)
    text = (await shell("explain", "smart", routers, "--ask", "Hello")).out
    block = text.partition("\nAssessments\n")[2].partition("\n\n")[0]
    assert block.count("none: ") == len({why for why in missing if why is not None})


@pytest.mark.parametrize(
    ("source", "text", "known", "unread", "expected"),
    [
        ("file", "Old. ", assessment(), "", ("Old.", None, None)),
        ("file", assessment().text, assessment(), "", (assessment().text, None, "medium")),
        ("file", None, assessment(), "", (None, "it has just been read; the next generation has it", "medium")),
        ("file", None, assessment(days=0), "", (None, "it expired 1h ago", "medium")),
        ("chroma", None, None, "", (None, "ChromaDB has none", None)),
        ("chroma", None, None, "ChromaDB is away", (None, "ChromaDB is away", None)),
        ("chroma", assessment().text, assessment(), "ChromaDB is away", (assessment().text, None, "medium")),
        ("file", "x" * 900, None, "", ("x" * 600, None, None)),
    ],
)
def test_what_is_told_of_a_candidate(
    tmp_path: Path,
    source: str,
    text: str | None,
    known: Assessment | None,
    unread: str,
    expected: tuple[str | None, str | None, str | None],
) -> None:
    router = snapshot(folder(tmp_path, source=source)).routers["smart"]
    found = by_key([] if known is None else [known])
    shown = assessments.view(router, FULL, text, Background(NOW + 3600, found, unread))
    assert (shown.text, shown.missing, shown.confidence) == expected


async def test_the_words(shell: Shell, tmp_path: Path) -> None:
    routers = folder(tmp_path)
    review(routers, assessment(made=time.time() - 4 * DAY))
    printed = await shell("explain", "smart", routers, "--ask", "Hello")
    assert printed.out.partition("\nAssessments\n")[2].startswith(
        "  openai/gpt-4o: medium confidence, 4d old, expires in 26d\n"
        '    "Strong at vision. Best for: charts."\n'
        "    [1] A: review (2026-05-01) https://a.example/?a=1&b=2\n"
        "    [2] https://b.example\n"
        "  openai/gpt-4o-mini: none: intelligence/smart.yaml has none\n\n"
    )


async def test_pages_cannot_write_on_the_terminal(shell: Shell, tmp_path: Path) -> None:
    routers = folder(tmp_path)
    hostile = "\u202e\x1b[2J\u200b"
    found = assessment(text=f"Good{hostile}", days=LONG)
    sources = (Source(f"https://a{hostile}", hostile, hostile),) * 2
    review(routers, msgspec.structs.replace(found, sources=sources))
    for command in (("explain", "smart", routers, "--ask", "Hello"), ("intelligence", "show", routers)):
        printed = await shell(*command)
        assert printed.status == 0, printed.err
        assert not set("\u202e\x1b\u200b") & set(printed.out)
    shown = (await shell("explain", "smart", routers, "--ask", "Hello", "--format", "json")).json
    assert not set("\u202e\x1b\u200b") & set(json.dumps(shown, ensure_ascii=False))


@needs_chroma
async def test_the_store_is_asked_where_that_is_said(shell: Shell, tmp_path: Path) -> None:
    routers = folder(tmp_path, source="chroma")
    data = tmp_path / "data"
    ChromaStore(place(data, {})).put(assessment(days=LONG))
    command = ("explain", "smart", routers, "--ask", "Hello", "--format", "json", "--data", data)
    assert [view["text"] for view in told((await shell(*command)).json)] == [None, None]
    views = told((await shell(*command, "--stored")).json)
    assert [view["text"] for view in views] == ["Strong at vision. Best for: charts.", None]
    assert views[1]["missing"] == "ChromaDB has none"


async def test_the_gateway_says_why_it_reads_none(tmp_path: Path) -> None:
    routers = folder(tmp_path)
    review(routers, assessment(made=time.time() - 2 * DAY, days=1))
    environ = {**ENVIRON, "LLM_RELAY_INTELLIGENCE_POLL": "0.1"}
    async with Gateway(tmp_path, {}, environ=environ) as gateway:
        await gateway.until(lambda status: "assessment" in status["routers"][0]["candidates"][0])
        body = {"router": "smart", "ask": "Hello", "live": False}
        views = told((await gateway.client.post("/status/explain", json=body)).json())
        assert [view["missing"] for view in views] == ["it expired 1d ago", "intelligence/smart.yaml has none"]
        assert [source["url"] for source in views[0]["sources"]] == ["https://a.example/?a=1&b=2", "https://b.example"]
