"""The wires that providers speak and the dialects that clients speak: one table chooses, nowhere else."""

from __future__ import annotations

from gateway.wire import anthropic, ollama, openai
from gateway.wire.protocol import Dialect, Wire

#: Providers' protocols by the name that a provider's ``wire`` gives.
WIRES: dict[str, Wire] = {"openai": openai.WIRE, "anthropic": anthropic.WIRE, "ollama": ollama.WIRE}

#: Clients' protocols by the name that :attr:`gateway.chat.ChatRequest.dialect` holds.
DIALECTS: dict[str, Dialect] = {
    "openai": openai.DIALECT,
    "openai.completions": openai.COMPLETIONS,
    "anthropic": anthropic.DIALECT,
    "ollama": ollama.DIALECT,
    "ollama.generate": ollama.GENERATE,
}
