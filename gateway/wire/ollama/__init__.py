"""Ollama's protocol: the provider's wire, and the dialects of ``/api/chat`` and ``/api/generate``."""

from __future__ import annotations

from gateway.wire.ollama import encoder, request
from gateway.wire.ollama.answer import load_answer
from gateway.wire.ollama.endpoints import OllamaDialect, OllamaWire

WIRE = OllamaWire()
DIALECT = OllamaDialect("ollama", request.decode_chat, encoder.CHAT)
GENERATE = OllamaDialect("ollama.generate", request.decode_generate, encoder.GENERATE)

__all__ = ["DIALECT", "GENERATE", "WIRE", "OllamaDialect", "OllamaWire", "load_answer"]
