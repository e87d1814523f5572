"""Example requests: what is read, and what is said of what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.plan.corpus import CorpusError, Usage, read

from .scene import request


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


LINES = "\n".join(
    (
        '{"router": "smart", "ask": "Hi there!"}',
        "",
        '{"router": "smart", "max_tokens": 7, "messages": [{"role": "system", "content": "Be brief"}, '
        '{"role": "user", "content": "a\\nb"}]}',
        '{"router": "smart", "ask": "x", "tools": [{"type": "function", "function": {"name": "f"}}], '
        '"usage": {"input": 3, "output": 4}}',
    )
)
LIST = """\
- {router: smart, ask: Hi there!}
- router: smart
  messages:
    - {role: system, content: Be brief}
    - role: user
      content: |
        a
        b
  max_tokens: 7
- router: smart
  ask: x
  tools: [{type: function, function: {name: f}}]
  usage: {input: 3, output: 4}
"""


@pytest.mark.parametrize(("name", "text"), [("c.jsonl", LINES), ("c.yaml", LIST), ("c.yml", LIST)])
def test_both_forms_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    first, second, third = read(file(tmp_path, name, text))
    assert (first.router, first.shown, first.usage) == ("smart", "Hi there!", Usage())
    assert [message.role for message in request(second).messages] == ["system", "user"]
    assert (second.shown, request(second).max_tokens) == ("a b", 7)
    assert [tool.name for tool in request(third).tools] == ["f"]
    assert third.usage == Usage(3, 4)


def test_a_long_ask_is_shown_in_short(tmp_path: Path) -> None:
    (sample,) = read(file(tmp_path, "c.jsonl", '{"router": "r", "ask": "%s"}' % ("word " * 100)))
    assert len(sample.shown) == 72
    assert sample.shown.endswith("…")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.jsonl", "", "there are no requests"),
        ("c.yaml", "", "c.yaml:1:1: the file holds no document"),
        ("c.yaml", "router: x", "a mapping is not a list"),
        ("c.yaml", "- {router: x, ask: y\n", "c.yaml:2:1: not YAML"),
        ("c.jsonl", '{"router": "x", "ask": "y"}\n{"router"', "c.jsonl:2: not one JSON object a line"),
        ("c.jsonl", "[" * 5000, "c.jsonl:1: not one JSON object a line"),
        ("c.jsonl", "[1]", "c.jsonl:1: Expected `object`"),
        ("c.jsonl", '{"ask": "y"}', "c.jsonl:1: .*`router`"),
        ("c.jsonl", '{"router": "x"}', "c.jsonl:1: a request has either ask or messages"),
        ("c.jsonl", '{"router": "x", "ask": "y", "messages": []}', "either ask or messages"),
        ("c.jsonl", '{"router": "x", "messages": []}', "c.jsonl:1: .*messages"),
        ("c.jsonl", '{"router": "x", "ask": "y", "n": -1}', "c.jsonl:1: "),
        ("c.jsonl", '{"router": "x", "ask": "y", "usage": {"inputs": 1}}', "usage"),
        ("c.yaml", "- {router: a, ask: x}\n- {router: a}\n", "c.yaml:2: a request has either"),
    ],
)
def test_what_is_no_corpus(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(file(tmp_path, name, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No such file"):
        read(tmp_path / "none.jsonl")
