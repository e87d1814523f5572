"""The mock provider and the reference proxy: two nginx configurations, and what the provider answers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from string import Template
from typing import Any

from .machine import INSTALL, BenchError, find_tool

EVENTS_PER_STREAM = 200
"""Server-sent events in one streamed answer, `[DONE]` included."""
PLAIN_BYTES = 1024
HERE = Path(__file__).parent

_TEXT = "the function reads one JSON object from the text and returns it as a dictionary or raises an error "


class _Conf(Template):
    """nginx uses `$` itself."""

    delimiter = "@"


def nginx_command(conf: Path) -> list[str]:
    return [find_tool("nginx"), "-p", str(conf.parent), "-c", str(conf), "-e", "stderr"]


def write_mock(folder: Path, port: int, chosen: str) -> Path:
    """The mock provider's configuration. `chosen` is the candidate that its designator always names."""
    events = [f"echo -n {_quoted(event)}; echo_flush;" for event in stream_events()]
    return _write(
        folder / "mock.conf",
        echo_module=_echo_module(),
        port=port,
        plain=_quoted(plain_answer()),
        judge=_quoted(_completion(chosen)),
        stream="\n".join(events),
        paced="\necho_sleep 0.001;\n".join(events),
    )


def write_proxy(folder: Path, port: int, mock_port: int) -> Path:
    return _write(folder / "proxy.conf", port=port, mock_port=mock_port)


def plain_answer() -> str:
    """A `chat.completion` of PLAIN_BYTES bytes."""
    frame = len(_completion(""))
    return _completion((_TEXT * 12)[: PLAIN_BYTES - frame])


def stream_events() -> list[str]:
    """One `chat.completion.chunk` per word, then the finish, the usage and the terminator, as OpenAI sends them."""
    words = _TEXT.split()
    texts = [" " + words[index % len(words)] for index in range(EVENTS_PER_STREAM - 4)]
    chunks = [
        _chunk([_choice({"role": "assistant", "content": ""})]),
        *(_chunk([_choice({"content": text})]) for text in texts),
        _chunk([_choice({}, "stop")]),
        _chunk([], usage=_usage(len(texts))),
    ]
    return [*(f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n" for chunk in chunks), "data: [DONE]\n\n"]


def _completion(text: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps(_envelope("chat.completion", choices=[choice], usage=_usage(24)), separators=(",", ":"))


def _chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return _envelope("chat.completion.chunk", choices=choices, **more)


def _choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason}


def _envelope(kind: str, **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-bench0001", "object": kind, "created": 1700000000, "model": "mock", **more}


def _usage(completion: int) -> dict[str, int]:
    return {"prompt_tokens": 24, "completion_tokens": completion, "total_tokens": 24 + completion}


def _quoted(text: str) -> str:
    """`text` as one argument in an nginx configuration. `$` would begin a variable, so no answer holds one."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _write(target: Path, **values: object) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_Conf((HERE / f"{target.name}.in").read_text()).substitute(values))
    return target


def _echo_module() -> Path:
    nginx = find_tool("nginx")
    build = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr
    folder = re.search(r"--modules-path=(\S+)", build)
    module = Path(folder[1] if folder else "/usr/lib/nginx/modules") / "ngx_http_echo_module.so"
    if not module.exists():
        raise BenchError(f"nginx has no echo module. {INSTALL}")
    return module
