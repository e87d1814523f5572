"""The command line. Every option has a variable, and each command imports only what it needs."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

#: Exit statuses: fine, findings, wrong usage.
OK, FINDINGS, USAGE = 0, 1, 2

_SINCE = re.compile(r"^(\d+)([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; say nothing more, not at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-relay", description="A declarative, GitOps-driven LLM gateway.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"llm-relay {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the gateway", allow_abbrev=False)
    _option(serve, "--config", "LLM_RELAY_CONFIG", "routers.d", "folder of routers", type=Path, metavar="DIR")
    _option(serve, "--host", "LLM_RELAY_HOST", "127.0.0.1", "address to listen on")
    _option(serve, "--port", "LLM_RELAY_PORT", "11434", "port to listen on", type=_port)
    _option(serve, "--workers", "LLM_RELAY_WORKERS", "1", "worker processes", type=_workers, metavar="N")
    _option(serve, "--data", "LLM_RELAY_DATA", str(_data()), "folder of sessions and ledger", type=Path, metavar="DIR")
    _option(serve, "--log-format", "LLM_RELAY_LOG_FORMAT", None, "text (a terminal's default) or json", type=_style)
    _flag(serve, "--allow-anonymous", "LLM_RELAY_ALLOW_ANONYMOUS", "listen beyond this machine without client keys")
    _flag(serve, "--polling", "LLM_RELAY_POLLING", "watch the folder by polling, where the system sends no events")
    serve.set_defaults(run=_serve)

    validate = commands.add_parser("validate", help="show all problems of a configuration", allow_abbrev=False)
    _folder(validate)
    _format(validate, "text", "json", "github")
    validate.set_defaults(run=_validate)

    usage = commands.add_parser("usage", help="show what was used, from the ledger", allow_abbrev=False)
    usage.add_argument("--by", choices=("router", "candidate", "tag", "client", "day"), default="router")
    usage.add_argument("--since", type=_since, default="7d", metavar="AGE", help="such as 12h or 7d (the default)")
    _option(usage, "--data", "LLM_RELAY_DATA", str(_data()), "folder of sessions and ledger", type=Path, metavar="DIR")
    _format(usage, "text", "json", "csv")
    usage.set_defaults(run=_usage)

    schema = commands.add_parser("schema", help="the JSON Schemas of the configuration", allow_abbrev=False)
    actions = schema.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="write them", allow_abbrev=False)
    build.add_argument("folder", nargs="?", type=Path, default=Path("schemas"), metavar="DIR")
    build.set_defaults(run=_schema_build)
    return parser


# --- commands -------------------------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    from gateway.server.serve import serve
    from gateway.server.settings import Settings

    style = options.log_format or ("text" if sys.stderr.isatty() else "json")
    return serve(
        Settings(
            config=options.config,
            host=options.host,
            port=options.port,
            workers=options.workers,
            data=options.data,
            allow_anonymous=options.allow_anonymous,
            log_format=style,
            polling=options.polling,
        )
    )


def _validate(options: argparse.Namespace) -> int:
    from gateway.config.load import load
    from gateway.config.report import render

    loaded = load(options.folder, os.environ)
    text = render(loaded.problems, options.format)
    if text:
        print(text, end="" if text.endswith("\n") else "\n")
    if loaded.snapshot is None:
        return FINDINGS
    if options.format == "text":
        routers = len(loaded.snapshot.routers)
        print(f"{options.folder}: {routers} {'router' if routers == 1 else 'routers'}, revision {loaded.revision}: ok")
    return OK


def _usage(options: argparse.Namespace) -> int:
    from gateway.ledger import LedgerUnreadable, summary
    from gateway.store import FILE
    from gateway.usage import render

    try:
        sums = summary(options.data / FILE, by=options.by, since=time.time() - options.since)
    except LedgerUnreadable as error:
        print(f"llm-relay usage: {error}", file=sys.stderr)
        return FINDINGS
    print(render(sums, by=options.by, style=options.format), end="")
    return OK


def _schema_build(options: argparse.Namespace) -> int:
    from gateway.config.schema import build

    for path in build(options.folder):
        print(path)
    return OK


# --- options --------------------------------------------------------------------------------------------------------


def _option(
    parser: argparse.ArgumentParser,
    name: str,
    variable: str,
    default: str | None,
    text: str,
    *,
    type: Callable[[str], object] = str,
    metavar: str | None = None,
) -> None:
    # A default that is a string passes through `type` as an argument would: a bad variable is a usage error too.
    value = os.environ.get(variable) or default
    shown = "" if default is None else f", default {default}"
    parser.add_argument(name, default=value, type=type, metavar=metavar, help=f"{text} (${variable}{shown})")


def _flag(parser: argparse.ArgumentParser, name: str, variable: str, text: str) -> None:
    on = os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")
    parser.add_argument(name, action="store_true", default=on, help=f"{text} (${variable})")


def _folder(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("LLM_RELAY_CONFIG") or "routers.d"
    parser.add_argument("folder", nargs="?", type=Path, default=default, metavar="DIR", help="default routers.d")


def _format(parser: argparse.ArgumentParser, *styles: str) -> None:
    parser.add_argument("--format", choices=styles, default=styles[0])


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: give 1 to 65535")


def _workers(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 64:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of workers: give 1 to 64")


def _style(text: str) -> str:
    if text in ("text", "json"):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no log format: give text or json")


def _since(text: str) -> float:
    match = _SINCE.match(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: give a number and a unit, as in 12h, 7d or 4w")
    return float(int(match[1]) * _SECONDS[match[2]])


def _data() -> Path:
    """Where state is kept by default: as the XDG base directory specification says."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(home) / "llm-relay"


def _version() -> str:
    from gateway import __version__

    return __version__
