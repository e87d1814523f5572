"""Errors in Ollama's shape."""

from __future__ import annotations

import json
from typing import Any

import httpx
import ollama
import pytest

from gateway.errors import (
    BadRequest,
    ModelNotFound,
    NoCandidate,
    RelayError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from gateway.wire.ollama import DIALECT, GENERATE, WIRE


def decode(status: int, body: Any, content_type: str = "application/json") -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRE.decode_error(status, raw, content_type)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, UpstreamRejected, "x"),
        (401, UpstreamAuthFailed, "the provider refused the gateway's key"),
        (403, UpstreamAuthFailed, "the provider refused the gateway's key"),
        (404, UpstreamFailed, "the model is unknown to the provider: x"),
        (405, UpstreamFailed, "x"),
        (408, UpstreamFailed, "x"),
        (413, UpstreamRejected, "x"),
        (422, UpstreamRejected, "x"),
        (429, UpstreamRateLimited, "x"),
        (499, UpstreamFailed, "x"),
        (500, UpstreamFailed, "x"),
        (502, UpstreamFailed, "x"),
        (503, UpstreamOverloaded, "x"),
        (529, UpstreamOverloaded, "x"),
        (307, UpstreamFailed, "x"),
    ],
)
def test_statuses(status: int, kind: type[UpstreamError], message: str) -> None:
    error = decode(status, {"error": "x"})
    assert type(error) is kind
    assert error.message == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"error": {"message": "a", "type": "b"}}, "a"),
        ([{"error": {"message": "a"}}], "a"),
        ({"detail": "a"}, "a"),
        ({"detail": [{"loc": [], "msg": "a"}]}, "a"),
        ({"message": "a"}, "a"),
        ({"object": "error", "message": "a", "code": 400}, "a"),
        ({"error": {"error": {"message": "a"}}}, "a"),
        ({"error": "a\nb\x00c"}, "a b c"),
        ({"error": "a" * 600}, "a" * 500),
        ({"error": "no: sk-abcdefghijklmnop"}, "no: [key]"),
        ({"error": None}, None),
        ({"error": {"code": 5}}, None),
        ({"error": {"error": {"error": {"error": {"error": "a"}}}}}, None),
        ([], None),
        (5, None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"<html>502 Bad Gateway</html>", None),
        (b"[" * 100_000, None),
    ],
)
@pytest.mark.parametrize("status", [400, 500])
def test_messages(status: int, body: Any, message: str | None) -> None:
    shown = decode(status, body).message
    assert shown == (message or shown)
    assert message or str(status) in shown


@pytest.mark.parametrize(
    ("body", "pause"),
    [({"error": {"message": "q", "code": "insufficient_quota"}}, 300.0), ({"error": "slow down"}, None), (b"", None)],
)
def test_an_exhausted_quota_pauses_longer(body: Any, pause: float | None) -> None:
    assert decode(429, body).retry_after == pause


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"message": "x", "type": "invalid_request_error"}}, "invalid_request_error"),
        ({"error": {"message": "x", "type": "two words\r\n"}}, "upstream_rejected"),
        ({"error": "x"}, "upstream_rejected"),
    ],
)
def test_the_code_of_a_refusal_is_safe_for_a_header(body: Any, code: str) -> None:
    assert decode(400, body).code == code


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (BadRequest("invalid_stream", "stream must be true or false"), 400, {"error": "stream must be true or false"}),
        (ModelNotFound("model 'x' not found"), 404, {"error": "model 'x' not found"}),
        (NoCandidate("none can"), 503, {"error": "none can"}),
        (UpstreamRateLimited("slow down"), 429, {"error": "slow down"}),
    ],
)
def test_own_errors(error: RelayError, status: int, body: Any) -> None:
    for dialect in (DIALECT, GENERATE):
        got, raw = dialect.encode_error(error, "req-1")
        assert (got, json.loads(raw)) == (status, body)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"error": "too long", "more": 1}', b'{"error": "too long", "more": 1}'),
        (b'{"error":{"message":"too long"}}', b'{"error":"too long"}'),
        (b'{"error": "no: sk-abcdefghijklmnop"}', b'{"error":"no: [key]"}'),
        (b"<html>", b'{"error":"the provider refused the request with status 400"}'),
        (b"[]", b'{"error":"the provider refused the request with status 400"}'),
    ],
)
def test_a_providers_refusal_passes_where_it_speaks_this_wire(body: bytes, shown: bytes) -> None:
    assert DIALECT.encode_error(decode(400, body), "req-1") == (400, shown)


def test_the_official_client_reads_an_error() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        status, body = DIALECT.encode_error(ModelNotFound("model 'x' not found"), "req-1")
        return httpx.Response(status, content=body)

    with ollama.Client("http://relay.test", transport=httpx.MockTransport(answer)) as official:
        with pytest.raises(ollama.ResponseError) as caught:
            official.chat("x", [{"role": "user", "content": "x"}])
        with pytest.raises(ollama.ResponseError, match="not found"):
            list(official.chat("x", [{"role": "user", "content": "x"}], stream=True))
    assert (caught.value.error, caught.value.status_code) == ("model 'x' not found", 404)
