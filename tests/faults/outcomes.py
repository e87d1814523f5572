"""What may become of a provider's fault: another candidate answers, or the client is told in its own dialect."""

from __future__ import annotations

import json

from gateway.config.model import Model
from tests.relaykit import KEY, Kit, Recorder, model, router, snapshot

from .heard import hear

#: Each provider's wire with its own dialect and with another one.
PAIRS = [
    ("openai", "openai"),
    ("openai", "anthropic"),
    ("anthropic", "anthropic"),
    ("anthropic", "ollama"),
    ("ollama", "ollama"),
    ("ollama", "openai"),
]

#: The gateway's code to HTTP status, OpenAI's error type and Anthropic's.
CODES = {
    "upstream_connect_failed": (502, "server_error", "api_error"),
    "upstream_tls_failed": (502, "server_error", "api_error"),
    "upstream_protocol_error": (502, "server_error", "api_error"),
    "upstream_invalid_response": (502, "server_error", "api_error"),
    "upstream_response_too_large": (502, "server_error", "api_error"),
    "upstream_truncated": (502, "server_error", "api_error"),
    "upstream_error": (502, "server_error", "api_error"),
    "upstream_auth_failed": (502, "server_error", "api_error"),
    "upstream_rate_limited": (429, "rate_limit_error", "rate_limit_error"),
    "upstream_overloaded": (503, "server_error", "overloaded_error"),
    "upstream_timeout": (504, "server_error", "timeout_error"),
}

#: The last that a client hears of a stream that broke off.
IN_BAND = {
    "openai": 'data: {"error":{"message":"MESSAGE","type":"OPENAI_TYPE","param":null,"code":"CODE"}}\n\n',
    "anthropic": 'event: error\ndata: {"type":"error","error":{"type":"ANTHROPIC_TYPE","message":"MESSAGE"}}\n\n',
    "ollama": '{"error":"CODE: MESSAGE"}\n',
}

#: All headers that an answer may have, whatever the provider sent.
ALLOWED = {
    "content-type",
    "retry-after",
    "server-timing",
    "x-llm-relay-decision",
    "x-llm-relay-error",
    "x-llm-relay-revision",
    "x-llm-relay-routed-to",
    "x-llm-relay-router",
    "x-request-id",
}


async def fails_over(bad: Model, dialect: str, code: str, *, stream: bool) -> None:
    """A router whose chosen candidate is ``bad``: the other candidate answers, as if nothing had been."""
    async with Kit(snapshot(router(bad, model("spare/m")))) as kit:
        got = await kit.ask(dialect, stream=stream)
        check_clean(got)
        assert (got.status, got.routed_to, got.decision, got.code) == (200, "spare/m", "failover", None)
        heard = hear(dialect, got)
        assert (heard.text, heard.complete, heard.error) == ("spare", True, None)
        assert [len(asked) for asked in kit.tame.asked.values()] == [1, 1]
        (entry,) = kit.entries
        assert (entry.status, entry.ended, entry.code) == (200, "complete", None)
        assert (entry.candidate, entry.failover_from) == ("spare/m", bad.id)
        assert kit.metric("upstream_errors_total", provider=bad.provider.name, code=code) == 1


async def surfaces(bad: Model, dialect: str, code: str, *, stream: bool) -> Recorder:
    """``bad`` asked for directly: the error is the answer."""
    async with Kit(snapshot(models=[bad])) as kit:
        got = await kit.ask(dialect, model=bad.id, stream=stream)
        check_error(dialect, got, code)
        assert not {"x-llm-relay-router", "x-llm-relay-routed-to", "x-llm-relay-decision"} & got.headers.keys()
        (entry,) = kit.entries
        assert (entry.status, entry.ended, entry.code) == (got.status, "error", code)
        return got


def check_error(dialect: str, got: Recorder, code: str) -> None:
    """A whole answer that is this error in this dialect."""
    check_clean(got)
    status, openai_type, anthropic_type = CODES[code]
    assert got.code == code
    assert got.headers["content-type"] == "application/json"
    assert got.ended
    body = json.loads(got.body)
    match dialect:
        case "openai":
            message = body["error"].pop("message")
            assert body == {"error": {"type": openai_type, "param": None, "code": code}}
        case "anthropic":
            status = 529 if status == 503 else status
            message = body["error"].pop("message")
            assert body == {
                "type": "error",
                "error": {"type": anthropic_type},
                "request_id": got.headers["x-request-id"],
            }
        case _:
            message = body.pop("error")
            assert body == {}
    assert got.status == status
    assert message


def check_in_band(dialect: str, got: Recorder, code: str) -> bytes:
    """An answer that broke off: its end is this error, and nothing says that it is whole. What came before."""
    check_clean(got)
    assert (got.status, got.ended, got.code) == (200, True, None)
    heard = hear(dialect, got)
    assert heard.error, got.body
    assert not heard.complete
    message = heard.error.removeprefix(f"{code}: ") if dialect == "ollama" else heard.error["message"]
    assert message
    _, openai_type, anthropic_type = CODES[code]
    shape = IN_BAND[dialect].replace("OPENAI_TYPE", openai_type).replace("ANTHROPIC_TYPE", anthropic_type)
    error = shape.replace("CODE", code).replace("MESSAGE", json.dumps(message)[1:-1]).encode()
    assert got.body.endswith(error)
    return got.body.removesuffix(error)


def check_clean(got: Recorder) -> None:
    """Nothing that is the provider's own business reached the client."""
    assert got.headers.keys() <= ALLOWED
    assert KEY not in repr(got.headers)
    assert KEY.encode() not in got.body
