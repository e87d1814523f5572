"""Providers' errors to ours, and ours to clients."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    BadRequest,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    Misdirected,
    ModelNotFound,
    NoCandidate,
    RelayError,
    RequestTimeout,
    RequestTooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    UpstreamAuthFailed,
    UpstreamConnectFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamTruncated,
)
from gateway.wire.openai import COMPLETIONS, DIALECT, WIRE


def decode(status: int, body: object) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WIRE.decode_error(status, raw, "application/json")


def google(code: int, status: str, *details: object) -> list[object]:
    return [{"error": {"code": code, "message": "m", "status": status, "details": list(details)}}]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": {"message": "m", "type": "invalid_request_error"}}, UpstreamRejected),
        (413, b"", UpstreamRejected),
        (422, {"detail": [{"loc": ["body"], "msg": "m", "type": "missing"}]}, UpstreamRejected),
        (401, {"detail": "Invalid API Key"}, UpstreamAuthFailed),
        (403, {"error": {"message": "m"}}, UpstreamAuthFailed),
        (403, {"error": {"message": "m", "metadata": {"reasons": ["violence"]}}}, UpstreamRejected),
        (400, google(400, "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}), UpstreamAuthFailed),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided: xa***9."}, UpstreamAuthFailed),
        (400, {"error": {"message": "API key not valid. Please pass a valid API key."}}, UpstreamAuthFailed),
        (402, {"error": {"message": "Insufficient Balance"}}, UpstreamRateLimited),
        (404, {"error": {"message": "m", "code": "model_not_found"}}, UpstreamFailed),
        (405, b"", UpstreamFailed),
        (408, b"", UpstreamFailed),
        (409, b"", UpstreamFailed),
        (415, b"", UpstreamFailed),
        (307, b"", UpstreamFailed),
        (429, {"error": {"message": "m", "type": "requests"}}, UpstreamRateLimited),
        (500, b"<html>oops</html>", UpstreamFailed),
        (502, b"", UpstreamFailed),
        (503, b"", UpstreamFailed),
        (503, {"error": {"message": "m", "type": "overloaded_error"}}, UpstreamOverloaded),
        (503, google(503, "UNAVAILABLE"), UpstreamOverloaded),
        (504, b"", UpstreamFailed),
        (529, b"", UpstreamOverloaded),
    ],
)
def test_statuses(status: int, body: object, error: type[UpstreamError]) -> None:
    assert type(decode(status, body)) is error


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        ({"error": {"message": "m", "type": "t", "param": "stop", "code": "c"}}, "m", "c"),
        ({"error": {"message": "m", "type": "t", "code": None}}, "m", "t"),
        ({"error": {"message": "m", "type": "t", "code": 400}}, "m", "t"),
        ({"error": {"code": 400, "message": "m", "metadata": {"raw": "because"}}, "user_id": "u"}, "m: because", None),
        ({"error": {"metadata": {"raw": "because"}}}, "because", None),
        ({"error": "m"}, "m", None),
        ({"error": "m", "code": "c"}, "m", "c"),
        ({"error": {"error": {"message": "m", "code": "c"}}}, "m", "c"),
        ({"error": "Bad Request", "message": "m", "status": 400}, "m", None),
        ({"errors": [{"code": 7, "message": "m"}]}, "m", None),
        ({"detail": "m"}, "m", None),
        ({"detail": [{"loc": ["body", "model"], "msg": "m", "type": "missing"}]}, "m", "missing"),
        (
            {"object": "error", "message": "m", "type": "BadRequestError", "param": None, "code": 400},
            "m",
            "BadRequestError",
        ),
        ({"object": "error", "message": {"detail": [{"msg": "m", "type": "extra_forbidden"}]}}, "m", "extra_forbidden"),
        ({"message": "m"}, "m", None),
        (google(400, "INVALID_ARGUMENT"), "m", "INVALID_ARGUMENT"),
        ({"error": {"message": "m", "code": "two words\r\nSet-Cookie: a=b", "type": "é"}}, "m", None),
        ({"error": {"message": "a\nb\x1b[31m"}}, "a b [31m", None),
        ({"error": {"message": ""}}, "the provider answered with status 400", None),
        ({"error": None}, "the provider answered with status 400", None),
        ({"error": [[[[[[[[[[[["deep"]]]]]]]]]]]]}, "the provider answered with status 400", None),
        (b'{"error":' * 900 + b'"deep"' + b"}" * 900, "the provider answered with status 400", None),
        (b"[" * 100_000, "the provider answered with status 400", None),
        (b"<html>Bad Gateway</html>", "the provider answered with status 400", None),
        (b"\xff\xfe", "the provider answered with status 400", None),
        (b"", "the provider answered with status 400", None),
        (b"[]", "the provider answered with status 400", None),
        (b"5", "the provider answered with status 400", None),
        (b'"m"', "m", None),
    ],
)
def test_any_shape_of_body_is_read(body: object, message: str, kind: str | None) -> None:
    error = decode(400, body)
    assert type(error) is UpstreamRejected
    assert (error.status, error.message, error.code) == (400, message, kind or "upstream_rejected")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_in_an_auth_error_never_gets_out(status: int) -> None:
    error = decode(
        status, {"error": {"message": "Incorrect API key provided: my-secret-12345", "code": "invalid_api_key"}}
    )
    assert "secret" not in error.message
    assert (error.status, error.code) == (502, "upstream_auth_failed")


def test_a_key_in_another_error_never_gets_out() -> None:
    error = decode(400, {"error": {"message": "header Bearer abcdef.ghi is odd", "type": "t"}})
    status, body = DIALECT.encode_error(error, "req1")
    assert status == 400
    assert b"abcdef" not in body


@pytest.mark.parametrize(
    ("status", "body", "seconds"),
    [
        (429, {"error": {"message": "q", "type": "insufficient_quota", "code": "insufficient_quota"}}, 300),
        (402, b"", 300),
        (429, {"error": {"message": "m", "code": "rate_limit_exceeded"}}, None),
        (429, google(429, "RESOURCE_EXHAUSTED", {"@type": "RetryInfo", "retryDelay": "7s"}), 7),
        (429, google(429, "RESOURCE_EXHAUSTED", {"links": []}, {"retryDelay": "34.074824224s"}), 34.074824224),
        (429, google(429, "RESOURCE_EXHAUSTED", {"retryDelay": "86400s"}), 300),
        (429, google(429, "RESOURCE_EXHAUSTED", {"retryDelay": "-5s"}), None),
        (429, google(429, "RESOURCE_EXHAUSTED", {"retryDelay": "1e9s"}), None),
        (429, google(429, "RESOURCE_EXHAUSTED", {"retryDelay": "99999999999999999999s"}), None),
        (429, google(429, "RESOURCE_EXHAUSTED", {"retryDelay": "٣s"}), None),
        (429, google(429, "RESOURCE_EXHAUSTED", {"retryDelay": 7}, "x", None), None),
        (429, {"error": {"message": "m", "details": "none"}}, None),
    ],
)
def test_how_long_to_wait(status: int, body: object, seconds: float | None) -> None:
    error = decode(status, body)
    assert type(error) is UpstreamRateLimited
    assert error.retry_after == seconds


def test_an_unknown_model_is_said_to_be_unknown() -> None:
    error = decode(404, {"error": {"message": "The model `x` does not exist"}})
    assert error.message == "the provider does not know this model or path: The model `x` does not exist"


@given(st.integers(300, 599), st.binary(max_size=64) | st.text().map(lambda text: json.dumps({"error": text}).encode()))
def test_no_body_raises_anything(status: int, body: bytes) -> None:
    error = WIRE.decode_error(status, body, "text/plain")
    assert isinstance(error, UpstreamError)
    assert error.message
    assert DIALECT.encode_error(error, "req1")[0] >= 400


# --- to clients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (BadRequest("invalid_n", "m", param="n"), 400, "invalid_request_error", "invalid_n"),
        (Unauthorized("m"), 401, "authentication_error", "invalid_api_key"),
        (Forbidden("origin_not_allowed", "m"), 403, "permission_error", "origin_not_allowed"),
        (ModelNotFound("m"), 404, "invalid_request_error", "model_not_found"),
        (MethodNotAllowed("m"), 405, "invalid_request_error", "method_not_allowed"),
        (RequestTimeout("m"), 408, "invalid_request_error", "request_timeout"),
        (RequestTooLarge("m"), 413, "invalid_request_error", "request_too_large"),
        (UnsupportedMediaType("m"), 415, "invalid_request_error", "unsupported_media_type"),
        (Misdirected("m"), 421, "invalid_request_error", "misdirected_request"),
        (TooManyRequests("m"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (InternalError("m"), 500, "server_error", "internal_error"),
        (Unavailable("m"), 503, "server_error", "overloaded"),
        (NoCandidate("m"), 503, "server_error", "no_candidate"),
        (UpstreamConnectFailed("m"), 502, "server_error", "upstream_connect_failed"),
        (UpstreamTruncated("m"), 502, "server_error", "upstream_truncated"),
        (UpstreamFailed("m"), 502, "server_error", "upstream_error"),
        (UpstreamAuthFailed("m"), 502, "server_error", "upstream_auth_failed"),
        (UpstreamRateLimited("m"), 429, "rate_limit_error", "upstream_rate_limited"),
        (UpstreamOverloaded("m"), 503, "server_error", "upstream_overloaded"),
        (UpstreamTimeout("m"), 504, "server_error", "upstream_timeout"),
    ],
)
def test_shape(error: RelayError, status: int, kind: str, code: str) -> None:
    param = "n" if isinstance(error, BadRequest) else None
    for dialect in (DIALECT, COMPLETIONS):
        found, body = dialect.encode_error(error, "req1")
        assert found == status
        assert json.loads(body) == {"error": {"message": "m", "type": kind, "param": param, "code": code}}


def rejected(body: object, kind: str | None = None) -> UpstreamRejected:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return UpstreamRejected(422, "m", kind=kind, body=raw, content_type="application/json")


def test_a_rejection_in_this_wires_shape_is_passed_on_as_it_is() -> None:
    body = (
        b'{ "error": {"message": "too long", "type": "x", "param": null, "code": "context_length_exceeded"}, "id": 1 }'
    )
    assert DIALECT.encode_error(rejected(body), "req1") == (422, body)


@pytest.mark.parametrize(
    "body",
    [
        b"<html></html>",
        b"",
        b"\xff",
        b"[" * 100_000,
        [{"error": {"message": "m"}}],
        {"error": "m"},
        {"error": {"code": 5}},
        {"detail": "m"},
        {"type": "error", "error": {"type": "invalid_request_error", "message": "from Anthropic"}},
        {"error": {"message": "your key sk-abcdefgh12345678 is odd"}},
    ],
)
def test_any_other_rejection_is_told_in_this_wires_shape(body: object) -> None:
    status, sent = DIALECT.encode_error(rejected(body, "some_kind"), "req1")
    assert status == 422
    assert json.loads(sent) == {
        "error": {"message": "m", "type": "invalid_request_error", "param": None, "code": "some_kind"}
    }
