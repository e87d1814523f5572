"""What lies in ``dashboards/`` is what the generator writes, whenever it is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.dashboards import documents
from tests.dashboards.shipped import DOCUMENTS
from tests.gatewayprocess import ROOT

FOLDER = ROOT / "dashboards"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_kept_is_what_is_generated(name: str) -> None:
    assert (FOLDER / name).read_bytes() == DOCUMENTS[name].encode(), "run: llm-relay dashboards build"


def test_nothing_else_is_kept() -> None:
    kept = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert {name for name in kept if not name.startswith("rules/tests/")} == DOCUMENTS.keys()


def test_another_process_generates_the_same(tmp_path: Path) -> None:
    # With another seed for hashes, and so another order of sets.
    command = [sys.executable, "-m", "gateway", "dashboards", "build", str(tmp_path)]
    written = subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True)
    assert written.stdout.splitlines() == [str(tmp_path / name) for name in DOCUMENTS]
    for name, text in DOCUMENTS.items():
        assert (tmp_path / name).read_text() == text


def test_building_leaves_other_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "rules" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("groups: []\n")
    assert main(["dashboards", "build", str(tmp_path)]) == 0
    assert mine.read_text() == "groups: []\n"
    assert len(capsys.readouterr().out.splitlines()) == len(DOCUMENTS)


def test_the_runbook_may_be_elsewhere() -> None:
    rules = documents(runbook="https://wiki.example.com/relay")["rules/llm-relay.rules.yaml"]
    assert 'runbook_url: "https://wiki.example.com/relay#llmrelaydown"' in rules
    assert "README.md" not in rules


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['grafana_foundation_sdk'] = None\n"
        "from gateway.cli import main; sys.exit(main(['dashboards', 'build', sys.argv[1]]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install 'llm-relay[dashboards]'" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
