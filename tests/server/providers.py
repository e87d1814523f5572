"""Providers that answer every question with a word, for tests of what reaches them."""

from __future__ import annotations

import json

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
EMBEDDINGS = json.dumps(
    {
        "object": "list",
        "model": "m",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
)

_ANSWERS = {
    "/v1/chat/completions": OPENAI,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/messages": ANTHROPIC,
    "/v1/messages/count_tokens": '{"input_tokens": 1}',
    "/api/chat": OLLAMA,
    "/api/generate": GENERATED,
    "/api/embed": json.dumps({"model": "m", "embeddings": [[0.5]], "prompt_eval_count": 1}),
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
        return [answer(_ANSWERS.get(request.target, "{}"))]

    return FaultServer(respond=respond)
