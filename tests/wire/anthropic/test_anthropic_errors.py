"""Errors of providers and to clients, and the headers that pass."""

from __future__ import annotations

import json

import pytest

from gateway.errors import (
    BadRequest,
    InternalError,
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
    UpstreamError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from gateway.wire.anthropic import DIALECT, WIRE


def body(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


def rejected(status: int, text: bytes) -> UpstreamRejected:
    return UpstreamRejected(
        status, "too long", kind="invalid_request_error", body=text, content_type="application/json"
    )


# --- to clients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BadRequest("invalid_json", "m"), 400, "invalid_request_error"),
        (Unauthorized("m"), 401, "authentication_error"),
        (ModelNotFound("m"), 404, "not_found_error"),
        (RequestTimeout("m"), 408, "timeout_error"),
        (RequestTooLarge("m"), 413, "request_too_large"),
        (UnsupportedMediaType("m"), 415, "invalid_request_error"),
        (TooManyRequests("m"), 429, "rate_limit_error"),
        (Unavailable("m"), 529, "overloaded_error"),
        (NoCandidate("m"), 529, "overloaded_error"),
        (InternalError("m"), 500, "api_error"),
        (UpstreamFailed("m"), 502, "api_error"),
        (UpstreamAuthFailed("m"), 502, "api_error"),
        (UpstreamRateLimited("m"), 429, "rate_limit_error"),
        (UpstreamOverloaded("m"), 529, "overloaded_error"),
        (UpstreamTimeout("m"), 504, "timeout_error"),
    ],
)
def test_an_error_of_ours(error: RelayError, status: int, kind: str) -> None:
    assert DIALECT.encode_error(error, "r-1")[0] == status
    shown = json.loads(DIALECT.encode_error(error, "r-1")[1])
    assert shown == {"type": "error", "error": {"type": kind, "message": "m"}, "request_id": "r-1"}


def test_a_providers_refusal_is_shown_as_it_came() -> None:
    theirs = body("invalid_request_error", "prompt is too long")
    assert DIALECT.encode_error(rejected(400, theirs), "r-1") == (400, theirs)


@pytest.mark.parametrize(
    "theirs",
    [
        b"",
        b"<html>",
        b'{"error":{"message":"too long","type":"invalid_request_error","param":null,"code":null}}',
        body("invalid_request_error", "the key sk-ant-api03-abcdefghijkl is too long"),
        b'{"type":"error","error":{"type":"x","message":"\xff"}}',
    ],
)
def test_a_refusal_in_another_shape_is_put_into_this_one(theirs: bytes) -> None:
    status, shown = DIALECT.encode_error(rejected(422, theirs), "r-1")
    assert status == 422
    assert json.loads(shown) == json.loads(body("invalid_request_error", "too long").replace(b"req_1", b"r-1"))


# --- from providers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (401, "authentication_error", "invalid x-api-key", UpstreamAuthFailed),
        (403, "permission_error", "not allowed", UpstreamAuthFailed),
        (404, "not_found_error", "model: claude-y", UpstreamFailed),
        (400, "invalid_request_error", "prompt is too long", UpstreamRejected),
        (413, "request_too_large", "too large", UpstreamRejected),
        (422, "invalid_request_error", "no", UpstreamRejected),
        (429, "rate_limit_error", "slow down", UpstreamRateLimited),
        (402, "billing_error", "pay", UpstreamRateLimited),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", UpstreamRateLimited),
        (529, "overloaded_error", "Overloaded", UpstreamOverloaded),
        (503, "overloaded_error", "Overloaded", UpstreamOverloaded),
        (503, "api_error", "down", UpstreamFailed),
        (500, "api_error", "Internal server error", UpstreamFailed),
        (408, "timeout_error", "late", UpstreamFailed),
        (307, "", "", UpstreamFailed),
    ],
)
def test_an_error_of_a_provider(status: int, kind: str, message: str, expected: type[UpstreamError]) -> None:
    error = WIRE.decode_error(status, body(kind, message), "application/json")
    assert type(error) is expected
    if expected is UpstreamAuthFailed:
        assert error.message == "the provider refused the gateway's key"
    else:
        assert message in error.message


@pytest.mark.parametrize(
    ("status", "kind", "pause"),
    [(429, "rate_limit_error", None), (429, "insufficient_quota", 300.0), (402, "billing_error", 300.0)],
)
def test_an_empty_account_is_left_alone_for_longer(status: int, kind: str, pause: float | None) -> None:
    assert WIRE.decode_error(status, body(kind, "m"), "application/json").retry_after == pause


def test_a_refusal_keeps_what_the_provider_said() -> None:
    text = body("invalid_request_error", "top_p: too high")
    error = WIRE.decode_error(400, text, "application/json")
    assert isinstance(error, UpstreamRejected)
    assert (error.status, error.code, error.body, error.content_type) == (
        400,
        "invalid_request_error",
        text,
        "application/json",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"error":"broken"}', "broken"),
        (b'[{"error":{"message":"broken","code":500}}]', "broken"),
        (b'{"detail":"broken"}', "broken"),
        (b'{"detail":[{"loc":["body"],"msg":"broken"}]}', "broken"),
        (b'{"error":{"error":{"error":{"error":{"error":"broken"}}}}}', ""),
        (b'{"message":"broken"}', "broken"),
        (b'{"object":"error","message":"broken","code":400}', "broken"),
        (b'{"error":{"message":"a\\u0000b\\r\\nc"}}', "a b c"),
        (b'{"error":{"message":"key sk-ant-api03-abcdefgh12345678 is bad"}}', "key [key] is bad"),
        (b'{"error":{"message":"' + b"x" * 5000 + b'"}}', "x" * 500),
        (b'{"error":{"message":5}}', ""),
        (b'{"error":5}', ""),
        (b'"broken"', "broken"),
        (b"[]", ""),
        (b"null", ""),
        (b"<html>no</html>", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
        (b"[" * 5000, ""),
    ],
)
@pytest.mark.parametrize("status", [400, 500])
def test_any_shape_of_error(text: bytes, message: str, status: int) -> None:
    shown = WIRE.decode_error(status, text, "text/html").message
    # Where the provider says nothing we do.
    assert shown.endswith(message)
    assert shown


# --- headers --------------------------------------------------------------------------------------------------------


def test_headers_to_a_provider() -> None:
    assert WIRE.auth_headers("k") == [(b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"k")]
    assert WIRE.auth_headers(None) == [(b"anthropic-version", b"2023-06-01")]


def test_headers_that_pass() -> None:
    assert WIRE.forward_headers == {"anthropic-version", "anthropic-beta"}
    assert "anthropic-ratelimit-input-tokens-remaining" in WIRE.return_headers
    assert WIRE.return_headers.isdisjoint({"request-id", "set-cookie", "anthropic-organization-id"})


@pytest.mark.parametrize(
    ("name", "value", "passed"),
    [
        (b"anthropic-version", b"2023-06-01", b"2023-06-01"),
        (b"anthropic-version", b"latest", None),
        (b"anthropic-beta", b"interleaved-thinking-2025-05-14", b"interleaved-thinking-2025-05-14"),
        (
            b"anthropic-beta",
            b"context-1m-2025-08-07, oauth-2025-04-20,files-api-2025-04-14 ,x",
            b"context-1m-2025-08-07,files-api-2025-04-14",
        ),
        (b"anthropic-beta", b"managed-agents-2026-04-01", None),
        (b"anthropic-beta", b"skills-<script>", None),
        (b"anthropic-beta", b"", None),
        (b"cookie", b"a=b", None),
    ],
)
def test_a_clients_header(name: bytes, value: bytes, passed: bytes | None) -> None:
    assert WIRE.filter_header(name, value) == passed
