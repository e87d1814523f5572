"""The gateway's configurations under test: a small one for load, and a thousand routers for validation and reload."""

from __future__ import annotations

from pathlib import Path

CHOSEN = "plain/beta"
"""What the designator of every router answers."""
SMART = "smart"
DIRECT = CHOSEN
STREAMED = "stream/alpha"
PACED = "paced/alpha"
PROBE = "router-0000"
"""The router of the large configuration that the reload probe asks for."""

_ROUTER = """\
name: {name}
description: {description}
designator:
  model: judge/small
  timeout: 1500ms
candidates:
  - model: plain/alpha
    purpose: Fast for simple questions
  - model: plain/beta
    purpose: Best for coding and analysis
fallback: plain/alpha
tags: [bench]
"""


def write_small(folder: Path, mock_port: int) -> Path:
    """One smart router, and the providers that the load asks for directly."""
    folder.mkdir(parents=True)
    _write_gateway(folder, mock_port)
    write_router(folder, SMART, "Measured under load")
    return folder


def write_large(folder: Path, mock_port: int, routers: int) -> Path:
    """`routers` routers, one file each; PROBE is among them."""
    folder.mkdir(parents=True)
    _write_gateway(folder, mock_port)
    for index in range(routers):
        write_router(folder, f"router-{index:04}", "One of many")
    return folder


def write_router(folder: Path, name: str, description: str) -> None:
    (folder / f"{name}.yaml").write_text(_ROUTER.format(name=name, description=description))


def _write_gateway(folder: Path, mock_port: int) -> None:
    lines = ["kind: gateway", "providers:"]
    for provider in ("plain", "judge", "stream", "paced"):
        lines.append(f"  {provider}: {{wire: openai, base_url: 'http://127.0.0.1:{mock_port}/{provider}/v1'}}")
    lines.append("models:")
    for model in ("plain/alpha", CHOSEN, "judge/small", STREAMED, PACED):
        lines.append(f"  {model}: {{context: 128000, capabilities: [tools], price: {{input: 1, output: 2}}}}")
    (folder / "gateway.yaml").write_text("\n".join(lines) + "\n")
