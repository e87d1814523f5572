"""``llm-relay plan`` from the outside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.ledger import Entry, Ledger
from gateway.store import FILE, Store
from tests.config.folders import router, write

from .test_base import git

CHANGED = router(candidates="[{model: sandbox/coder, purpose: Code}, {model: sandbox/talker, purpose: Small talk}]")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose work tree has changed since its only commit."""
    top = tmp_path / "repository"
    folder = write(top / "routers.d", {"smart.yaml": router()})
    git(top, "init", "--quiet", "--initial-branch=main")
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message=first")
    write(folder, {"smart.yaml": CHANGED})
    return top


def plan(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, output and errors."""
    status = main(["plan", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_work_tree_against_a_commit(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = repository / "routers.d"
    status, text, _ = plan(capsys, "--base", "HEAD", folder)
    assert status == 0
    *lines, prompt = text.splitlines()
    assert lines == [
        f"plan: HEAD ({git(repository, 'rev-parse', 'HEAD')[:12]}) → {folder}",
        "  1 router changed",
        "",
        "~ router smart",
        "    - candidates[sandbox/quick]   Small talk",
        "    + candidates[sandbox/talker]  Small talk",
    ]
    side = r"[0-9a-f]{12}, about \d{3} tokens"
    assert re.fullmatch(f"    ~ designator prompt           {side} → {side}", prompt)


def test_nothing_changes(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(repository / "routers.d", {"smart.yaml": f"# A remark.\n{router()}"})
    status, text, _ = plan(capsys, "--base", "main", folder)
    assert status == 0
    assert text.endswith("\n  nothing changes for any request\n")


def test_a_folder_as_the_base(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = write(tmp_path / "base", {"a.yaml": router(name="other")})
    _, text, _ = plan(capsys, "--base", base, repository / "routers.d")
    assert "1 router added, 1 router removed" in text


def test_a_new_folder_is_all_new(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(repository / "more.d", {"a.yaml": router()})
    status, text, _ = plan(capsys, "--base", "HEAD", folder)
    assert status == 0
    assert "+ router smart\n" in text


def test_example_requests(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write(tmp_path, {"corpus.yaml": "- {router: smart, ask: Hi}\n- {router: smart, ask: Some code}\n"})
    folder = repository / "routers.d"
    status, text, _ = plan(capsys, "--base", "HEAD", folder, "--corpus", corpus / "corpus.yaml")
    assert status == 0
    assert text.partition("who moves")[2] == (
        ", of 2 requests: 1 stay, 1 move\n"
        "  smart: sandbox/quick → sandbox/talker  1 request\n"
        "      Hi\n"
        "\n"
        "  smart: rows are before, columns after\n"
        "                   sandbox/coder  sandbox/talker\n"
        "    sandbox/coder              1               ·\n"
        "    sandbox/quick              ·               1\n"
        "  No price is known on both sides, so there are no costs to compare.\n"
    )


def test_json(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write(tmp_path, {"c.jsonl": '{"router": "smart", "ask": "Hi"}\n'}) / "c.jsonl"
    arguments = ("--base", "HEAD", repository / "routers.d", "--format", "json", "--corpus", corpus)
    status, text, _ = plan(capsys, *arguments)
    assert status == 0
    found = json.loads(text)
    assert found["plan"]["routers"][0]["changes"][0] == {
        "path": "candidates[sandbox/quick]",
        "kind": "removed",
        "before": "Small talk",
        "after": "",
    }
    assert found["moves"]["matrix"] == {"smart": {"sandbox/quick": {"sandbox/talker": 1}}}
    assert plan(capsys, *arguments)[1] == text, "the same every time"


async def test_past_traffic(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "data" / FILE)
    ledger = Ledger(store, keep=1e12)
    for candidate, count in (("sandbox/quick", 3), ("sandbox/coder", 1)):
        for _ in range(count):
            entry = Entry(time=2e9, request_id="r", dialect="openai", router="smart", decision="designated")
            entry.candidate = candidate
            ledger.add(entry)
    assert await store.flush()
    await store.aclose()
    arguments = ("--base", "HEAD", repository / "routers.d", "--replay", tmp_path / "data")
    status, text, _ = plan(capsys, *arguments, "--since", "7d")
    assert status == 0
    assert "From the ledger, the last 7 days. It holds no prompts" in text
    assert "     75.0%  sandbox/quick  3 requests (3 designated)\n            goes elsewhere from now on\n" in text
    _, text, _ = plan(capsys, *arguments, "--format", "markdown")
    assert "| `smart` | `sandbox/quick` | 3 | 75.0% | goes elsewhere from now on |\n" in text


@pytest.mark.parametrize("style", ["text", "json", "markdown"])
def test_an_invalid_configuration(repository: Path, capsys: pytest.CaptureFixture[str], style: str) -> None:
    folder = write(repository / "routers.d", {"bad.yaml": "name: bad\nfallbck: x\n"})
    status, text, _ = plan(capsys, "--base", "HEAD", folder, "--format", style)
    assert status == 1
    assert "E204" in text
    assert "not valid" in text or style != "markdown"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--base", "nowhere"], "neither a folder nor a commit"),
        (["--base", "HEAD", "--corpus", "none.jsonl"], "none.jsonl: No such file"),
        (["--base", "HEAD", "--replay", "none"], "no such file"),
    ],
)
def test_nothing_to_work_with(
    repository: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status, text, error = plan(capsys, *arguments, repository / "routers.d")
    assert (status, text) == (2, "")
    assert said in error


def test_a_router_that_never_was(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write(tmp_path, {"c.jsonl": '{"router": "smrt", "ask": "Hi"}\n'}) / "c.jsonl"
    status, _, error = plan(capsys, "--base", "HEAD", repository / "routers.d", "--corpus", corpus)
    assert status == 2
    assert 'c.jsonl:1: there is no router "smrt", before or after' in error


def test_a_base_that_is_not_valid_itself(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(repository / "routers.d", {"bad.yaml": "name: bad\nfallbck: x\n"})
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=bad")
    (folder / "bad.yaml").unlink()
    status, _, error = plan(capsys, "--base", "HEAD", folder)
    assert status == 2
    assert f"the base is not a valid configuration itself: HEAD:{folder}/bad.yaml:1:1" in error


@pytest.mark.parametrize("arguments", [[], ["--base", "HEAD", "--corpus", "x", "--replay", "y"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["plan", *arguments])
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err
