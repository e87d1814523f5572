"""What every error must look like, in every dialect."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_OPENAI = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
#: A stack trace, or a file of ours.
_INSIDE = re.compile(rb"Traceback|File \"|\.py\b|site-packages")


def check_error(
    dialect: str, answer: tuple[int, Mapping[str, str], bytes], status: int | None = None, code: str | None = None
) -> str:
    """Check an error answer (status, headers, body) to a request in ``dialect``; the message that it shows."""
    got, headers, body = answer
    told = json.loads(body)
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(r"[0-9a-f]{24}", headers["x-request-id"])
    assert not any(name.lower().startswith("access-control-") for name in headers)
    assert not _INSIDE.search(body)
    shown = headers["x-llm-relay-error"]
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,60}", shown)
    match dialect:
        case "openai":
            assert set(told) == {"error"}
            assert set(told["error"]) == {"message", "type", "param", "code"}
            kind = "server_error" if got >= 500 else _OPENAI.get(got, "invalid_request_error")
            assert (told["error"]["type"], told["error"]["code"]) == (kind, shown)
            message = told["error"]["message"]
        case "anthropic":
            assert set(told) == {"type", "error", "request_id"}
            assert set(told["error"]) == {"type", "message"}
            assert (told["type"], told["request_id"]) == ("error", headers["x-request-id"])
            assert told["error"]["type"] == _ANTHROPIC.get(got, "invalid_request_error" if got < 500 else "api_error")
            message = told["error"]["message"]
        case _:
            assert set(told) == {"error"}
            message = told["error"]
    assert isinstance(message, str)
    assert message
    if status is not None:
        assert (got, shown) == (status, code)
    return message
