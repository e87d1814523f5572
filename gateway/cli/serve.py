"""``llm-relay serve``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from gateway.cli.options import data, flag, option, whole

_DURATION = re.compile(r"(\d{1,6})(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


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
    drain = "time that requests under way get to end at a shutdown"
    option(serve, "--drain-timeout", "LLM_RELAY_DRAIN_TIMEOUT", "30s", drain, type=_seconds, metavar="TIME")
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
            drain=options.drain_timeout,
        )
    )


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: give a number and a unit, as in 30s or 2m")
    return int(match[1]) * _UNITS[match[2]]


def _style(text: str) -> str:
    if text in ("text", "json"):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no log format: give text or json")
