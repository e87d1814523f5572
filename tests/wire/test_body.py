"""A request's body is one strict JSON object, or it is refused with a code that says why."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.wire.body import FORBIDDEN, HEADROOM, parse

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_WRITERS: list[Callable[[object], str]] = [
    lambda value: json.dumps(value, separators=(",", ":")),
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    json.dumps,
    lambda value: json.dumps(value, indent=2),
]


def _code(body: bytes) -> str:
    with pytest.raises(BadRequest) as caught:
        parse(body)
    return caught.value.code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b" \r\n\t", "empty_body"),
        (b"{", "invalid_json"),
        (b"{} {}", "invalid_json"),
        (b"{'a':1}", "invalid_json"),
        (b'{"a":1,}', "invalid_json"),
        (b'{"a":01}', "invalid_json"),
        (b'{"a":NaN}', "invalid_json"),
        (b'{"a":Infinity}', "invalid_json"),
        (b'{"a":1e999}', "invalid_json"),
        (b'{"a":' + b"1" * 5000 + b"}", "invalid_json"),
        (b'{"a":"\x00"}', "invalid_json"),
        (b'{"a":"\n"}', "invalid_json"),
        (b'{"a":"\\ud800"}', "invalid_json"),
        (b'{"a":"\\ude00\\ud83d"}', "invalid_json"),
        (b'{"a":' + b"[" * 100_000, "invalid_json"),
        (b'{"a":' * 100_000, "invalid_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"1", "not_an_object"),
        (b'{"a":"\xff"}', "invalid_encoding"),
        (b'{"a":"\xed\xa0\x80"}', "invalid_encoding"),
        (b'\xef\xbb\xbf{"a":1}', "invalid_encoding"),
        ('{"a":1}'.encode("utf-16"), "invalid_encoding"),
        ('{"a":1}'.encode("utf-16-le"), "invalid_encoding"),
        ('{"a":1}'.encode("utf-32-be"), "invalid_encoding"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b'{"a":1, "b": 2,"a":3}', "duplicate_key"),
        (b'{"a":[1,2],"b":{"c":1},"a":{}}', "duplicate_key"),
    ],
)
def test_refused(body: bytes, code: str) -> None:
    assert _code(body) == code


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_fields_that_say_where_requests_go_are_forbidden(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(json.dumps({"model": "m", name: "http://evil"}).encode())
    assert (caught.value.code, caught.value.param) == ("forbidden_field", name)
    assert "evil" not in caught.value.message


def test_the_name_of_a_duplicate_is_shown_harmlessly() -> None:
    name = "\x1b[31m" + "é" * 10 + "x" * 200
    body = json.dumps({name: 1})[:-1] + "," + json.dumps({name: 2})[1:]
    with pytest.raises(BadRequest) as caught:
        parse(body.encode())
    param = caught.value.param or ""
    assert param.startswith("[31m")
    assert len(param) <= 64
    assert param.isprintable()


@pytest.mark.parametrize("write", _WRITERS, ids=["compact", "compact utf-8", "spaced", "indented"])
def test_a_duplicate_inside_of_a_value_is_the_providers_to_judge(write: Callable[[object], str]) -> None:
    body = write({"a": {"b": 1}, "c": 2}).replace('"b"', '"b": 0, "b"').encode()
    assert parse(body).values == {"a": {"b": 1}, "c": 2}


@given(st.dictionaries(st.text(max_size=8), _JSON, max_size=6), st.sampled_from(_WRITERS))
def test_every_object_is_read_whole_and_kept_as_written(
    value: dict[str, object], write: Callable[[object], str]
) -> None:
    body = write(value).encode()
    if not FORBIDDEN.isdisjoint(value):
        assert _code(body) == "forbidden_field"
        return
    parsed = parse(body)
    assert parsed.values == value
    assert list(parsed.raw) == list(value)
    assert all(bytes(raw) in body and json.loads(bytes(raw)) == value[name] for name, raw in parsed.raw.items())


@given(st.dictionaries(st.text(max_size=8), _JSON, min_size=1, max_size=6), st.sampled_from(_WRITERS), st.data())
def test_no_duplicate_is_missed(value: dict[str, object], write: Callable[[object], str], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(sorted(value)))
    fields = [*value.items(), (again, None)]
    body = "{" + ",".join(write({name: item}).strip()[1:-1] for name, item in data.draw(st.permutations(fields))) + "}"
    assert _code(body.encode()) == "duplicate_key"


@given(st.binary(max_size=64))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(BadRequest):
        parse(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("spaced", [b"", b"   "], ids=["compact", "spaced"])
def test_whatever_is_accepted_can_be_written_again_further_down_in_calls(
    opening: bytes, closing: bytes, spaced: bytes
) -> None:
    def write(value: object, calls: int) -> bytes:
        return write(value, calls - 1) if calls else msgspec.json.encode(value)

    refused = 0
    for depth in range(700, 1100, 7):
        try:
            values = parse(b'{"a":' + spaced + opening * depth + b"1" + closing * depth + b"}").values
        except BadRequest:
            refused += 1
        else:
            assert write(values, HEADROOM - 8)
    assert 0 < refused < 50
