"""``llm-relay serve``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gateway.cli.options import data, flag, option, whole


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    serve = commands.add_parser("serve", help="run the gateway", allow_abbrev=False)
    option(serve, "--config", "LLM_RELAY_CONFIG", "routers.d", "folder of routers", type=Path, metavar="DIR")
    option(serve, "--host", "LLM_RELAY_HOST", "127.0.0.1", "address to listen on")
    option(serve, "--port", "LLM_RELAY_PORT", "11434", "port to listen on", type=whole(1, 65535, "port"))
    workers = whole(1, 64, "number of workers")
    option(serve, "--workers", "LLM_RELAY_WORKERS", "1", "worker processes", type=workers, metavar="N")
    data(serve)
    option(serve, "--log-format", "LLM_RELAY_LOG_FORMAT", None, "text (default on a terminal) or json", type=_style)
    flag(serve, "--allow-anonymous", "LLM_RELAY_ALLOW_ANONYMOUS", "listen beyond this machine without client keys")
    flag(serve, "--polling", "LLM_RELAY_POLLING", "watch the folder by polling, where the system sends no events")
    serve.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from gateway.server.serve import serve
    from gateway.server.settings import Settings

    return serve(
        Settings(
            config=options.config,
            host=options.host,
            port=options.port,
            workers=options.workers,
            data=options.data,
            allow_anonymous=options.allow_anonymous,
            log_format=options.log_format or ("text" if sys.stderr.isatty() else "json"),
            polling=options.polling,
        )
    )


def _style(text: str) -> str:
    if text in ("text", "json"):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no log format: give text or json")
