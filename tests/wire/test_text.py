"""What a provider says is shown as one short line, without keys."""

from __future__ import annotations

import msgspec
import pytest

from gateway.wire.text import (
    MAX_MESSAGE,
    TOO_LONG,
    has_key,
    identifier,
    is_json,
    lenient,
    one_line,
    refusal_kind,
    shown,
    visible,
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Rate limit reached", "Rate limit reached"),
        ("  two\r\nlines\tand a tab \n", "two lines and a tab"),
        ("\x1b[31mred\x1b[0m\x00", "[31mred [0m"),
        ("zero\u200bwidth \u202eright to left\u2028line", "zero width  right to left line"),
        ("lone \ud800 surrogate", "lone   surrogate"),
        ("Überlastet 漢字 🙂", "Überlastet 漢字 🙂"),
        ("for key sk-proj-abcdefgh12345678 only", "for key [key] only"),
        ("gsk_abcdefgh1234 and AIzaSyA-1234567890abcdefg", "[key] and [key]"),
        ("Authorization: Bearer abc.def.ghi was refused", "Authorization: [key] was refused"),
        ("limit reached in organization org-AbCdEfGh1234", "limit reached in organization [key]"),
        ("task-oriented risk-averse", "task-oriented risk-averse"),
        ("", ""),
    ],
)
def test_shown(message: str, expected: str) -> None:
    assert shown(message) == expected
    assert not has_key(shown(message))


@pytest.mark.parametrize(
    ("text", "expected", "lines"),
    [
        ("open/m, na\u00efve \u65e5\u672c", "open/m, na\u00efve \u65e5\u672c", "open/m, na\u00efve \u65e5\u672c"),
        ("sandbox/\u202etxt.exe", "sandbox/[U+202E]txt.exe", "sandbox/[U+202E]txt.exe"),
        ("\x1b[2J\x07", "[U+001B][2J[U+0007]", "[U+001B][2J[U+0007]"),
        ("a\n\tb\r", "a[U+000A][U+0009]b[U+000D]", "a\n\tb[U+000D]"),
    ],
)
def test_nothing_hides(text: str, expected: str, lines: str) -> None:
    assert visible(text) == expected
    assert visible(text, lines=True) == lines


def test_a_long_message_is_cut() -> None:
    assert shown("x" * 100_000) == "x" * MAX_MESSAGE


@pytest.mark.parametrize("word", ["insufficient_quota", "RESOURCE_EXHAUSTED", "invalid-argument", "a.b", "x" * 64])
def test_identifiers(word: str) -> None:
    assert identifier(word) == word


@pytest.mark.parametrize("word", ["", "two words", "a\r\nb", "é", "x" * 65, "a\n", 429, None, ["a"], {"a": 1}])
def test_no_identifiers(word: object) -> None:
    assert identifier(word) is None


@pytest.mark.parametrize(
    "text", ["", "plain", "Grüß 漢字 🙂", "a\u2028b\u2029c\x85d", "\u2027\u202a\x84\x86", "ä\n\r\x0b"]
)
def test_json_on_one_line(text: str) -> None:
    json = one_line(msgspec.json.encode(text))
    assert msgspec.json.decode(json) == text
    assert len(json.decode().splitlines()) == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.", TOO_LONG),
        ("prompt is too long: 210000 tokens > 200000 maximum", TOO_LONG),
        ("This model's maximum prompt length is 131072 but the request contains 200000 tokens.", TOO_LONG),
        ("The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).", TOO_LONG),
        ("the request exceeds the available context size, try increasing it", TOO_LONG),
        ("Please reduce the length of the messages or completion.", TOO_LONG),
        ("max_tokens is too large", "invalid_request_error"),
        ("", None),
    ],
)
def test_a_prompt_that_is_too_long_has_one_name(message: str, kind: str | None) -> None:
    assert refusal_kind(message, None if kind is None else "invalid_request_error") == kind


@pytest.mark.parametrize(
    ("json", "text"),
    [
        (rb'"\ud83d\ude42 \u00e9"', "🙂 é"),
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\ude42b\ud83d\n"', "\ufffdb\ufffd\n"),
        (rb'"\ud83d\ud83d\ude42\uDE42"', "\ufffd🙂\ufffd"),
        # An escaped backslash before what looks like half a character.
        (rb'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
    ],
)
def test_half_a_character_is_shown_as_one_that_is_missing(json: bytes, text: str) -> None:
    assert lenient(msgspec.json.decode, json) == text


@pytest.mark.parametrize("json", [b"", b'"a', rb'"\x"', rb'{"a": "\ud83d"', rb'"\ud83'])
def test_what_is_no_json_stays_none(json: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        lenient(msgspec.json.decode, json)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('{"a":[1,"b"]}', True),
        ("{}", True),
        ("", False),
        ('{"a":', False),
        ("{} {}", False),
        pytest.param("\ud83d", False, id="half a character"),
        pytest.param('{"a":' * 10_000 + "1" + "}" * 10_000, False, id="too deep to be read"),
    ],
)
def test_json_that_is_whole(text: str, whole: bool) -> None:
    assert is_json(text) is whole
