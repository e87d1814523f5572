"""What some models refuse that others of this wire take, read from their names.

The client of a router cannot know which model it gets, so a request is put into the words that this one takes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.wire.openai import mistral

# OpenAI's reasoning models refuse max_tokens ("Use 'max_completion_tokens' instead"); others of this wire may not know
# max_completion_tokens.
_NEW_LIMIT = ("o1", "o3", "o4", "gpt-5")

# Those that always refuse sampling parameters; later ones take them unless they reason.
_UNSAMPLED = re.compile(r"o[134](?!\d)|gpt-5(?!\.|-chat)")

# Models whose providers or chat templates refuse the role "developer", for which all of them take "system".
_UNDEVELOPED = ("deepseek", "qwen", "sonar")

_OPENAIS = re.compile(r"(?:openai/)?(?:gpt-(?!oss)|chatgpt|o[134](?!\d))")

# Models that want their own thinking back while they use tools (DeepSeek, "Thinking mode"); others refuse the field.
_REPLAYED = ("deepseek", "kimi", "glm")

# Models at whose providers a turn's ``reasoning_content`` is an error ("property 'reasoning_content' is unsupported").
# Clients send it back as they got it, from another model. For models in nobody's list it may be of use.
_THOUGHTLESS = ("gemini", "gpt-oss", "llama", "meta-llama", "command", "sonar")

# Gemini 3 refuses a call of the current turn without its signature, which has no place in the hub and which many
# clients do not keep, unless it is this (Gemini API, "Thought signatures", "FAQs"). Of parallel calls the first has it.
_SIGNED = "gemini-3"
_SIGNATURE = {"google": {"thought_signature": "skip_thought_signature_validator"}}


class Manners(NamedTuple):
    """What a model takes."""

    #: Only the newer ``max_completion_tokens``; and no sampling parameters from a client that knows its model.
    new_limit: bool
    samples: bool
    #: The role ``developer``.
    developers: bool
    #: Its own thinking, replayed, and no error where somebody's is.
    replays: bool
    thoughtless: bool
    #: Conversations with tools only in a form of its own: Mistral's, or with Gemini's signatures.
    mistral: bool
    signed: bool

    def converse(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A conversation with tools as the model takes it."""
        if self.mistral:
            return mistral.mend(messages)
        for message in messages if self.signed else ():
            calls = message.get("tool_calls")
            if type(calls) is list and calls and type(calls[0]) is dict:
                calls[0].setdefault("extra_content", _SIGNATURE)
        return messages


@lru_cache(maxsize=1024)
def manners(model: str) -> Manners:
    """What the model takes, by the provider's name for it."""
    name = model.rpartition("/")[2].lower()
    is_openais, is_mistrals = _OPENAIS.match(model) is not None, mistral.is_mistral(name)
    return Manners(
        new_limit=model.startswith(_NEW_LIMIT),
        samples=_UNSAMPLED.match(model) is None,
        developers=not (is_mistrals or name.startswith(_UNDEVELOPED)),
        replays=name.startswith(_REPLAYED),
        thoughtless=is_openais or is_mistrals or name.startswith(_THOUGHTLESS),
        mistral=is_mistrals,
        signed=model.startswith(_SIGNED),
    )
