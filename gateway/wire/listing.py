"""What can be asked for, as each protocol lists it: JSON bodies from plain entries.

Sources: Ollama's api/types.go (ListResponse, ProcessResponse, ShowResponse), OpenAI's and Anthropic's API references
("List models", "Retrieve model"). What a gateway cannot know of a remote model (its size, its weights) is zero or
empty, where a client insists on the field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

#: Ours, in Ollama's ``details`` and OpenAI's ``owned_by``.
OWNER = "llm-relay"

#: The hub's capabilities in Ollama's words (types/model/capability.go); the others have none.
_OLLAMA_CAPABILITIES = {"tools": "tools", "vision": "vision", "reasoning": "thinking", "audio": "audio"}
#: Nothing here is ever unloaded; ``ollama ps`` shows a date as far away as this as "Forever".
_NEVER = "9999-12-31T23:59:59Z"

_encode = msgspec.json.encode


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A router, or a model ``provider/name``."""

    id: str
    router: bool = False
    description: str = ""
    #: The context window in tokens, None where unknown.
    context: int | None = None
    #: As in the configuration; None where unknown.
    capabilities: frozenset[str] | None = None
    #: When it came to be, in seconds since 1970.
    created: float = 0.0

    @property
    def owner(self) -> str:
        """The provider, or the gateway itself for its routers."""
        return OWNER if self.router else self.id.partition("/")[0]


# --- Ollama -----------------------------------------------------------------------------------------------------------


def ollama_tags(entries: Iterable[Entry]) -> bytes:
    """The answer to ``GET /api/tags``."""
    models = [
        {
            **_named(entry),
            "modified_at": _rfc3339(entry.created),
            "capabilities": _capabilities(entry),
        }
        for entry in entries
    ]
    return _encode({"models": models})


def ollama_ps(entries: Iterable[Entry]) -> bytes:
    """The answer to ``GET /api/ps``: everything is as good as loaded."""
    models = [
        {
            **_named(entry),
            "expires_at": _NEVER,
            "size_vram": 0,
            "context_length": entry.context or 0,
        }
        for entry in entries
    ]
    return _encode({"models": models})


def ollama_show(entry: Entry) -> bytes:
    """The answer to ``POST /api/show``."""
    family = entry.owner
    info: dict[str, Any] = {"general.architecture": family, "general.basename": entry.id}
    if entry.context is not None:
        info[f"{family}.context_length"] = entry.context
    # Every line of a model file but the first is an instruction.
    about = " ".join(entry.description.split())
    return _encode(
        {
            "modelfile": f"# {about}\nFROM {entry.id}\n" if about else f"FROM {entry.id}\n",
            "parameters": "",
            "template": "",
            "details": _details(entry),
            "model_info": info,
            "capabilities": _capabilities(entry),
            "modified_at": _rfc3339(entry.created),
        }
    )


def ollama_version(version: str) -> bytes:
    """The answer to ``GET /api/version``."""
    return _encode({"version": version})


def _named(entry: Entry) -> dict[str, Any]:
    # Ollama's names always have a tag, and clients take them apart at the colon.
    name = entry.id if ":" in entry.id.rpartition("/")[2] else f"{entry.id}:latest"
    # The command line cuts digests at twelve digits, so there must be some.
    digest = hashlib.sha256(entry.id.encode()).hexdigest()
    return {"name": name, "model": name, "size": 0, "digest": digest, "details": _details(entry)}


def _details(entry: Entry) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": entry.owner,
        "families": [entry.owner],
        "parameter_size": "",
        "quantization_level": "",
    }


def _capabilities(entry: Entry) -> list[str]:
    known = entry.capabilities or frozenset()
    return ["completion", *(theirs for ours, theirs in _OLLAMA_CAPABILITIES.items() if ours in known)]


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def openai_models(entries: Iterable[Entry]) -> bytes:
    """The answer to ``GET /v1/models``."""
    return _encode({"object": "list", "data": [_openai(entry) for entry in entries]})


def openai_model(entry: Entry) -> bytes:
    """The answer to ``GET /v1/models/{id}``."""
    return _encode(_openai(entry))


def _openai(entry: Entry) -> dict[str, Any]:
    model: dict[str, Any] = {
        "id": entry.id,
        "object": "model",
        "created": int(entry.created),
        "owned_by": entry.owner,
    }
    # Beyond OpenAI's own fields, as OpenRouter names them: clients show the one and plan with the other.
    if entry.description:
        model["description"] = entry.description
    if entry.context is not None:
        model["context_length"] = entry.context
    return model


# --- Anthropic --------------------------------------------------------------------------------------------------------


def anthropic_models(entries: Iterable[Entry]) -> bytes:
    """The answer to ``GET /v1/models`` of a client that sends ``anthropic-version``: one page with everything."""
    data = [_anthropic(entry) for entry in entries]
    return _encode(
        {
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
    )


def anthropic_model(entry: Entry) -> bytes:
    """The answer to ``GET /v1/models/{id}`` of such a client."""
    return _encode(_anthropic(entry))


def _anthropic(entry: Entry) -> dict[str, Any]:
    return {
        "type": "model",
        "id": entry.id,
        "display_name": entry.id,
        "created_at": _rfc3339(entry.created),
        "lifecycle": "active",
        "max_input_tokens": entry.context,
    }


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
