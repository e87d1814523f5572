"""LLM Relay: one gateway in front of many LLM providers, with routers that a small model decides."""

__version__ = "0.1.0"
