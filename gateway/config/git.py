"""The commit that a configuration folder was checked out from, read from git's own files.

No process is started: a gateway's image has no git. Source of the layout: gitrepository-layout(5).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9A-Za-z._/+-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LIMIT = 1 << 20


def named(text: str) -> str | None:
    """``text`` as the name of a commit, if it may stand in a header and a metric label; None otherwise."""
    text = text.strip()
    return text if _COMMIT.fullmatch(text) else None


def commit(roots: tuple[Path, ...]) -> str | None:
    """What a ``REVISION`` file in one of ``roots`` says, else the commit of the git work tree around the last of them.

    None where neither is there. Never raises.
    """
    for root in roots:
        text = _text(root / "REVISION")
        if text is not None and (name := named(text.partition("\n")[0])) is not None:
            return name
    for parent in (roots[-1], *roots[-1].parents):
        if os.path.lexists(parent / ".git"):
            return _head(parent / ".git")
    return None


def _head(marker: Path) -> str | None:
    """The commit checked out in the work tree whose ``.git`` is ``marker``: a folder, or a file naming one."""
    folder = marker
    if not marker.is_dir():
        pointer = _text(marker) or ""
        if not pointer.startswith("gitdir:"):
            return None
        folder = marker.parent / pointer.removeprefix("gitdir:").strip()
    head = (_text(folder / "HEAD") or "").strip()
    if not head.startswith("ref:"):
        return head if _HASH.fullmatch(head) else None
    reference = head.removeprefix("ref:").strip()
    if ".." in reference or reference.startswith("/"):
        return None
    common = (_text(folder / "commondir") or "").strip()
    for base in (folder, folder / common) if common else (folder,):
        loose = (_text(base / reference) or "").strip()
        if _HASH.fullmatch(loose):
            return loose
        for line in (_text(base / "packed-refs") or "").splitlines():
            value, _, name = line.partition(" ")
            if name.strip() == reference and _HASH.fullmatch(value):
                return value
    return None


def _text(path: Path) -> str | None:
    """A small regular file's text; None where it is none."""
    try:
        if not path.is_file() or path.stat().st_size > _LIMIT:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None
