"""A plan as a comment on a pull request: whatever anybody wrote, it is shown and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.config.load import load
from gateway.config.problems import Problem
from gateway.generation import Generation
from gateway.plan.answers import sandbox
from gateway.plan.base import Base
from gateway.plan.make import make
from gateway.plan.markdown import MARKER, code
from gateway.plan.show import refused, show

from .scene import ROUTER, generations, sample

HOSTILE = "x|y` @everyone <script>alert(1)</script> ![i](http://e.example/x) <!-- --> </details> #1 ``` **b**"


@settings(deadline=None)
@given(st.text())
@example(HOSTILE)
@example("`")
@example("a\n\n- b\r\n| c |")
@example("\\|")
def test_a_code_span_holds_whatever_is_in_it(text: str) -> None:
    """Read as CommonMark 6.1 says: it ends at the first run of backticks as long as its own, which is the last."""
    span = code(text)
    if not text.split():
        assert span == ""
        return
    assert "\n" not in span
    assert "\r" not in span
    fence = re.match("`+", span)
    assert fence is not None
    runs = re.findall("`+", span)
    assert [index for index, run in enumerate(runs) if run == fence[0]] == [0, len(runs) - 1]
    assert span.endswith(fence[0])
    assert not re.search(r"(?<!\\)\|", span), "a bare bar would end the table's cell"


def hostile(folder: Path) -> str:
    """The comment on a change that is full of Markdown, as are the requests."""
    after = ROUTER.replace("Texts and letters", f"'{HOSTILE}'") + f"description: '{HOSTILE}'\n"
    old, new = generations(folder, ROUTER, after)
    base = Base(folder, "origin/`main`", "c0ffee" * 6)
    return show(make(base, old, "routers.d", new, samples=[sample(f"A letter {HOSTILE}")], answers=sandbox), "markdown")


def test_nothing_of_it_is_markup(tmp_path: Path) -> None:
    text = hostile(tmp_path)
    assert text.startswith(f"{MARKER}\n### LLM Relay plan: ``origin/`main` (c0ffeec0ffee)`` → `routers.d`\n")
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    for markup in ("@", "<script", "![", "<!-- -->", "#1", "**b"):
        assert markup not in outside
    assert outside.count("<details>") == outside.count("</details>") > 0


def test_tables_are_whole(tmp_path: Path) -> None:
    rows = [line for line in hostile(tmp_path).splitlines() if line.startswith("|")]
    assert len(rows) > 6
    widths = {row.replace("\\|", "").count("|") for row in rows}
    assert widths <= {3, 4, 5, 6}
    heads = [index for index, row in enumerate(rows) if set(row) == {"|", "-"}]
    for head in heads:
        assert rows[head].count("|") == rows[head - 1].count("|")


def test_a_huge_change_fits_into_a_comment(tmp_path: Path) -> None:
    folders = [tmp_path / "before", tmp_path / "after"]
    for number in range(400):
        for folder, purpose in zip(folders, ("a", "b"), strict=True):
            folder.mkdir(exist_ok=True)
            text = ROUTER.replace("name: smart", f"name: r{number}").replace("Texts", f"Texts {purpose * 500}")
            (folder / f"{number}.yaml").write_text(text)
    old, new = (load(folder, {}, require_keys=False).snapshot for folder in folders)
    assert old is not None
    assert new is not None
    text = show(make(Base(tmp_path, "main"), Generation(old), "routers.d", Generation(new)), "markdown")
    assert 50_000 < len(text) < 65_536
    assert text.count("<details>") == text.count("</details>")
    assert re.search(r"… and \d{3} more sections: run `llm-relay plan` for all of it.\n$", text)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (
            "markdown",
            f"{MARKER}\n### LLM Relay plan: none\n\n**The configuration is not valid.**\n\n"
            '- `r.yaml:1:2` E303 ``name "`x`" is @wrong``\n',
        ),
        ("text", 'r.yaml:1:2 name: "`x`" is @wrong [E303]\n'),
    ],
)
def test_a_configuration_that_is_not_valid(style: str, expected: str) -> None:
    """Only what refuses it is told."""
    error = Problem("r.yaml", 1, 2, "name", "E303", '"`x`" is @wrong', "")
    advice = Problem("r.yaml", 1, 1, "", "W401", "a single candidate", "", "warning")
    assert refused([advice, error], style) == expected
