"""What a client means by a model's name."""

from __future__ import annotations

import pytest

from gateway.config.model import Model
from gateway.errors import ModelNotFound
from gateway.generation import Generation
from tests.relaykit import model, router, snapshot

GENERATION = Generation(
    snapshot(router(model("my-vllm/Qwen/Qwen3"), model("ollama/llama3")), models=[model("ollama/phi:latest")])
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("smart", "smart"),
        ("SMART:latest", "smart"),
        ("smart:LATEST", "smart"),
        ("my-vllm/Qwen/Qwen3", "my-vllm/Qwen/Qwen3"),
        ("my-vllm/qwen/qwen3", "my-vllm/Qwen/Qwen3"),
        ("My-vLLM/Qwen/Qwen3:latest", "my-vllm/Qwen/Qwen3"),
        ("ollama/llama3:Latest", "ollama/llama3"),
        # The provider's own tags are left alone.
        ("ollama/phi:latest", "ollama/phi:latest"),
        ("ollama/PHI:latest", "ollama/phi:latest"),
        ("ollama/gemma:latest", "ollama/gemma:latest"),
        ("ollama/llama3:8b", "ollama/llama3:8b"),
    ],
)
def test_names(name: str, meant: str) -> None:
    found = GENERATION.resolve(name, None)
    assert (found.id if isinstance(found, Model) else found.name) == meant


@pytest.mark.parametrize("name", ["", "smart2", "nobody/m", "ollama/", "ollama", ":latest"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ModelNotFound):
        GENERATION.resolve(name, None)
