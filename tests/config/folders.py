"""Configuration folders for tests, and what loading them says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.config.load import Loaded, load
from gateway.config.model import Snapshot
from gateway.config.problems import Problem

#: A valid router of nine lines on the sandbox provider.
ROUTER = """\
name: smart
designator:
  model: sandbox/designator
candidates:
  - model: sandbox/coder
    purpose: Code
  - model: sandbox/quick
    purpose: Small talk
"""
NO_ENVIRONMENT: Mapping[str, str] = {}


def write(folder: Path, texts: Mapping[str, str | bytes]) -> Path:
    """``folder`` with a file for each of ``texts``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def load_texts(folder: Path, texts: Mapping[str, str | bytes], environ: Mapping[str, str] = NO_ENVIRONMENT) -> Loaded:
    """What becomes of a folder with ``texts``."""
    return load(write(folder, texts), environ)


def snapshot_of(loaded: Loaded) -> Snapshot:
    """The snapshot, which there must be."""
    assert loaded.snapshot is not None, [str(problem) for problem in loaded.problems]
    return loaded.snapshot


def found(loaded: Loaded, folder: Path) -> list[str]:
    """Problems as ``file:line:column code path``, the file relative to ``folder``."""
    return [brief(problem, folder) for problem in loaded.problems]


def brief(problem: Problem, folder: Path) -> str:
    """One problem without its words."""
    name = Path(problem.file).relative_to(folder).as_posix()
    return f"{name}:{problem.line}:{problem.column} {problem.code} {problem.path}".rstrip()


def router(**changes: str) -> str:
    """A valid router, some of its top-level fields replaced by the YAML text given, or removed if that is empty."""
    fields = {
        "name": "smart",
        "designator": "{model: sandbox/designator}",
        "candidates": "[{model: sandbox/coder, purpose: Code}, {model: sandbox/quick, purpose: Small talk}]",
        **changes,
    }
    return "".join(f"{name}: {text}\n" for name, text in fields.items() if text)


def gateway(text: str) -> dict[str, str]:
    """A valid router beside a gateway document with ``text``."""
    return {"router.yaml": ROUTER, "gateway.yaml": f"kind: gateway\n{text}"}
