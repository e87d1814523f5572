"""A request's own fields, passed on to a provider of the same wire."""

from __future__ import annotations

from typing import Any

import msgspec

#: Fields that tell gateways how to act, or label a request for them; no provider's business.
INTERNAL = frozenset({"metadata", "guardrails", "callbacks", "success_callback", "failure_callback"})
_INTERNAL_PREFIX = "litellm_"

_encode = msgspec.json.encode


def forward(fields: dict[str, msgspec.Raw], model: str) -> bytes:
    """A body of ``fields``, byte for byte and in order, but for the model's name and what is internal to gateways."""
    body: dict[str, Any] = {**fields, "model": model}
    for name in fields:
        if name in INTERNAL or name.startswith(_INTERNAL_PREFIX):
            del body[name]
    return _encode(body)
