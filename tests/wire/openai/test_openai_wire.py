"""The wire's table of facts."""

from __future__ import annotations

from gateway.wire.openai import DIALECT, WIRE


def test_the_key_is_a_bearer() -> None:
    assert WIRE.auth_headers("k") == [(b"authorization", b"Bearer k")]
    assert WIRE.auth_headers(None) == []


def test_no_header_of_a_client_reaches_the_provider() -> None:
    assert WIRE.forward_headers == frozenset()
    assert WIRE.filter_header(b"openai-organization", b"org-1") is None


def test_rate_limits_travel_back_and_nothing_that_names_an_account() -> None:
    assert "x-ratelimit-remaining-tokens" in WIRE.return_headers
    assert "openai-processing-ms" in WIRE.return_headers
    assert not {"openai-organization", "set-cookie", "x-request-id", "authorization"} & WIRE.return_headers


def test_streams_are_server_sent_events() -> None:
    assert WIRE.stream_type == DIALECT.stream_type.decode() == "text/event-stream"
    assert (WIRE.name, DIALECT.name, DIALECT.wire) == ("openai", "openai", "openai")
    assert DIALECT.strict_content_type
