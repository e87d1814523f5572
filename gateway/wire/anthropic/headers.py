"""Headers of Anthropic's API: ours to it, a client's that may travel on, and its own that may travel back."""

from __future__ import annotations

import re

#: The only version there is (API reference, "Versions"); every request must name one.
_VERSION = b"2023-06-01"
_VERSION_FORM = re.compile(rb"\d{4}-\d{2}-\d{2}")
_BETA_FORM = re.compile(rb"[a-z0-9-]{1,64}")

FORWARD = frozenset({"anthropic-version", "anthropic-beta"})

#: API reference, "Rate limits", "Response headers".
_LIMITED = ("requests", "tokens", "input-tokens", "output-tokens", "priority-input-tokens", "priority-output-tokens")
RETURN = frozenset(
    f"anthropic-ratelimit-{what}-{field}" for what in _LIMITED for field in ("limit", "remaining", "reset")
)

#: Betas of the Messages API, without their dates. Others are about accounts, files of other products or which model
#: answers, and are not a client's to turn on with the gateway's key.
BETAS = (
    b"adaptive-thinking-",
    b"advanced-tool-use-",
    b"cache-diagnosis-",
    b"claude-code-",
    b"code-execution-",
    b"compact-",
    b"computer-use-",
    b"context-1m-",
    b"context-management-",
    b"dev-full-thinking-",
    b"effort-",
    b"extended-cache-ttl-",
    b"fast-mode-",
    b"files-api-",
    b"fine-grained-tool-streaming-",
    b"inline-tools-",
    b"interleaved-thinking-",
    b"max-tokens-",
    b"mcp-client-",
    b"mid-conversation-",
    b"model-context-window-exceeded-",
    b"output-128k-",
    b"output-300k-",
    b"pdfs-",
    b"prompt-caching-",
    b"redact-thinking-",
    b"search-results-",
    b"skills-",
    b"structured-outputs-",
    b"task-budgets-",
    b"thinking-",
    b"token-counting-",
    b"token-efficient-tools-",
    b"tool-examples-",
    b"tool-search-tool-",
    b"web-fetch-",
    b"web-search-",
)


def auth(key: str | None) -> list[tuple[bytes, bytes]]:
    """The key, where there is one, and the version."""
    headers = [(b"anthropic-version", _VERSION)]
    if key is not None:
        headers.append((b"x-api-key", key.encode("latin-1")))
    return headers


def filtered(name: bytes, value: bytes) -> bytes | None:
    """A client's header as it may travel on; None where nothing of it may."""
    if name == b"anthropic-beta":
        betas = [
            beta
            for beta in map(bytes.strip, value.split(b","))
            if beta.startswith(BETAS) and _BETA_FORM.fullmatch(beta)
        ]
        return b",".join(betas) or None
    if name == b"anthropic-version" and _VERSION_FORM.fullmatch(value.strip()):
        return value.strip()
    return None
