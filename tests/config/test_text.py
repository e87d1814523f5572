"""What is wrong with a file's text, E1xx, and where."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import yaml

from .folders import ROUTER, found, load_texts, router, snapshot_of

BOMB = b"".join(
    b"%c: &%c [%s]\n" % (97 + level, 97 + level, b",".join([b"*%c" % (96 + level)] * 9) if level else b"x")
    for level in range(7)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"name: 'open\n", "2:1 E101", id="unclosed quote"),
        pytest.param(b"name: a\n\tb: c\n", "2:1 E101", id="tab"),
        pytest.param(b"name: a: b\n", "1:8 E101", id="two colons"),
        pytest.param(b"? [a, {b: c}]\n: 1\nname: x\n", "1:3 E102", id="a list as a key"),
        pytest.param(b"? [a]\n: b\n'': c\n", "1:3 E102", id="a list and nothing as keys"),
        pytest.param(b"name: &x a\n", "1:7 E103", id="anchor"),
        pytest.param(b"&a [*a]\n", "1:1 E103", id="self reference"),
        pytest.param(b"name: !!str a\n", "1:7 E103", id="tag"),
        pytest.param(b"name: !secret a\n", "1:7 E103", id="custom tag"),
        pytest.param(b"%TAG ! tag:example,2000:\n---\nname: a\n", "1:1 E103", id="tag directive"),
        pytest.param(b"<<: {a: 1}\nname: a\n", "1:1 E103", id="merge key"),
        pytest.param(b"name: a\n---\nname: b\n", "2:1 E105", id="two documents"),
        pytest.param(b"[" * 500, "1:33 E106", id="too deep"),
        pytest.param(b"a: {" * 60, "1:128 E106", id="too deep in mappings"),
        pytest.param(b"name: a\x00b\n", "1:8 E108", id="NUL"),
        pytest.param(b"name: a\nb: \xff\n", "2:4 E108", id="not UTF-8"),
        pytest.param("name: a".encode("utf-16"), "1:1 E108", id="UTF-16"),
        pytest.param("name: a\u2028b\n".encode(), "1:8 E108", id="line separator"),
        pytest.param(b"", "1:1 E109", id="empty"),
        pytest.param(b"# only\n# comments\n", "1:1 E109", id="comments only"),
        pytest.param(b"---\n", "2:1 E109", id="an empty document"),
        pytest.param(b"- a\n- b\n", "1:1 E201", id="a list"),
        pytest.param(b"just text\n", "1:1 E201", id="a text"),
        pytest.param(b"~\n", "1:1 E201", id="null"),
        pytest.param(b"a: [" + b"1," * 50_001 + b"1]\n", "1:99999 E110", id="too many values"),
    ],
)
def test_a_text_that_cannot_be_read_has_one_problem_at_its_place(tmp_path: Path, text: bytes, expected: str) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": text})
    assert loaded.snapshot is None
    assert found(loaded, tmp_path)[0] == f"x.yaml:{expected}"


def test_an_alias_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    """258 bytes that would be 9⁶ values."""
    loaded = load_texts(tmp_path, {"bomb.yaml": BOMB})
    assert {problem.code for problem in loaded.problems} == {"E103"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("name: a\nname: b\n", ["2:1 E104 name"], id="duplicate key"),
        pytest.param("tags: {x: {y: 1, y: 2}}\n", ["1:18 E104 tags.x.y"], id="nested duplicate key"),
        pytest.param(f"a: {'9' * 5000}\n", ["1:4 E107 a"], id="5000 digits"),
        pytest.param(f"a: {'9' * 19}\n", ["1:4 E107 a"], id="19 digits"),
        pytest.param(
            "a: [.nan, .inf, -.INF]\n", ["1:5 E203 a[0]", "1:11 E203 a[1]", "1:17 E203 a[2]"], id="not a number"
        ),
        pytest.param("a: 1e999\n", ["1:4 E203 a"], id="overflow"),
    ],
)
def test_other_problems_of_a_text_do_not_hide_the_rest(tmp_path: Path, text: str, expected: list[str]) -> None:
    said = found(load_texts(tmp_path, {"x.yaml": text}), tmp_path)
    assert set(said) >= {f"x.yaml:{problem}" for problem in expected}
    assert "x.yaml:1:1 E205" in said


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf" + ROUTER.encode(), b"---\n" + ROUTER.encode() + b"...\n"])
def test_a_byte_order_mark_and_document_markers_are_accepted(tmp_path: Path, text: bytes) -> None:
    assert list(snapshot_of(load_texts(tmp_path, {"x.yaml": text})).routers) == ["smart"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("off", "off"),
        ("012", "012"),
        ("0o14", "0o14"),
        ("0x1F", "0x1F"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-11-24", "2026-11-24"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("'12'", "12"),
        ('"true"', "true"),
        ("| \n    a\n    b\n", "a\nb\n"),
    ],
)
def test_plain_scalars_have_no_surprises(written: str, value: object) -> None:
    read = yaml.read(f"a: {written}\n".encode())
    assert read.value == {"a": value}
    assert type(read.value["a"]) is type(value)


def test_values_and_keys_have_places() -> None:
    marks = yaml.read(b"a:\n  - b: 1\n    c: [x, y]\n").marks
    assert marks.value(()) == (1, 1)
    assert marks.value(("a", 0)) == (2, 5)
    assert marks.value(("a", 0, "c", 1)) == (3, 12)
    assert marks.key(("a", 0, "c")) == (3, 5)
    assert marks.value(("a", 0, "c", 7)) == (3, 8), "the nearest value around one that is not there"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        pytest.param("a: [x,\nb: 1\n", "close the bracket of line 1, or put a comma before this", id="bracket"),
        pytest.param("b: 1\na: {x: 1\n\nc: 2\n", "close the brace of line 2, or put a comma before this", id="brace"),
        pytest.param("b: 1\na: 'x\n\nc: 2\n", "close the quote of line 2", id="quote"),
        pytest.param("a: [\n", "write a value, or close the bracket", id="nothing"),
        pytest.param("a: 'x' y\n", "and that nothing follows a closing quote or bracket", id="behind a quote"),
        pytest.param("a: {b: env:}\n", "quote the text", id="colon"),
        pytest.param('a: "\\d+"\n', "use single quotes, or write two backslashes for one", id="escape"),
        pytest.param("%YAML 2.0\n---\na: 1\n", "remove the line that begins with %", id="version"),
        pytest.param("%FOO\n---\na: 1\n", "remove the line that begins with %", id="directive"),
        pytest.param("a: [1]\n\tb: 2\n", "indent with spaces", id="tab"),
    ],
)
def test_a_slip_has_its_remedy(text: str, remedy: str) -> None:
    [problem] = yaml.read(text.encode()).problems
    assert problem.code == "E101"
    assert remedy in problem.remedy


def test_columns_count_characters() -> None:
    assert yaml.read("a: ['üüü', *x]\n".encode()).problems[0].column == 12


def test_the_best_known_limits(tmp_path: Path) -> None:
    """One byte more than 1 MiB is too much, 1 MiB is not."""
    fits = router().encode().ljust(1 << 20, b"\n")
    assert load_texts(tmp_path / "a", {"x.yaml": fits}).snapshot is not None
    loaded = load_texts(tmp_path / "b", {"x.yaml": fits + b"\n"})
    assert found(loaded, tmp_path / "b") == ["x.yaml:1:1 E110"]


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_reading_never_raises(data: bytes) -> None:
    read = yaml.read(data)
    assert read.value is not msgspec.UNSET or read.problems


@given(st.text(alphabet="ab:-?,[]{}&*!|>'\"%@` \n\t#<~0.1", max_size=60))
@settings(max_examples=200, deadline=None)
def test_reading_never_raises_on_what_looks_like_yaml(text: str) -> None:
    read = yaml.read(text.encode())
    assert read.value is not msgspec.UNSET or read.problems
