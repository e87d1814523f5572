"""Providers that answer every question with a word, for tests of what reaches them."""

from __future__ import annotations

import json
from typing import Any

from tests.faultserver import FaultServer, Request, Script, answer

OPENAI = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
)
ANTHROPIC = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
)
OLLAMA = json.dumps(
    {
        "model": "m",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": "hi"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 1,
        "eval_count": 1,
    }
)
GENERATED = json.dumps({**json.loads(OLLAMA), "response": "hi"})
_ANSWERS = {
    "/v1/chat/completions": OPENAI,
    "/v1/messages": ANTHROPIC,
    "/v1/messages/count_tokens": '{"input_tokens": 1}',
    "/api/chat": OLLAMA,
    "/api/generate": GENERATED,
    "/api/embeddings": '{"embedding": [0.5]}',
}

#: For ``providers`` of a gateway document; to be filled with the address of :func:`obliging`.
PROVIDERS = """\
providers:
  fake: {{wire: openai, base_url: "{url}/v1", api_key: env:FAKE_KEY}}
  claude: {{wire: anthropic, base_url: "{url}", api_key: env:FAKE_KEY}}
  llama: {{wire: ollama, base_url: "{url}"}}
"""
KEY = "sk-the-gateways-own-key-of-a-provider"
ENVIRON = {"FAKE_KEY": KEY}


def obliging() -> FaultServer:
    """All three wires at one address."""

    def respond(request: Request) -> Script:
        if request.target in ("/v1/embeddings", "/api/embed"):
            return [answer(_embeddings(json.loads(request.body).get("input") or []))]
        return [answer(_ANSWERS[request.target])]

    return FaultServer(respond=respond)


def _embeddings(wanted: Any) -> str:
    """A vector for each text, or for each list of tokens, in both wires' places."""
    count = len(wanted) if isinstance(wanted, list) and not (wanted and isinstance(wanted[0], int)) else 1
    data = [{"object": "embedding", "index": index, "embedding": [0.5]} for index in range(count)]
    return json.dumps({"object": "list", "model": "m", "data": data, "embeddings": [[0.5]] * count})
