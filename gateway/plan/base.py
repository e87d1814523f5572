"""The configuration that a change is compared with: a folder, or what git has of this folder at a commit."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

#: Seconds for one git command; a lazy clone may fetch what it lacks.
_PATIENCE = 120.0


class BaseError(Exception):
    """There is nothing to compare with; says why, and what to do."""


class Base(msgspec.Struct, frozen=True):
    """Where to read the configuration to compare with."""

    folder: Path
    #: As the user named it.
    name: str
    #: The commit, where git has it from.
    commit: str | None = None
    #: The folder does not exist in that commit: everything is new.
    missing: bool = False


@contextmanager
def checked_out(reference: str, folder: Path) -> Iterator[Base]:
    """``reference`` as a folder, else ``folder`` as of the git commit that ``reference`` names.

    A commit's files are put into a temporary folder, for as long as the context lasts; nothing in the work tree or the
    index changes. Raises BaseError.
    """
    if not reference:
        raise BaseError("--base is empty; give a folder, or a branch, tag or commit")
    if Path(reference).is_dir():
        yield Base(Path(reference), reference)
        return
    real = Path(os.path.realpath(folder))
    around = next(path for path in (real, *real.parents) if path.is_dir())
    top = Path(os.fsdecode(_git(around, "rev-parse", "--show-toplevel", why=_no_repository(reference, folder)).strip()))
    # A name that begins with a dash stays a name, and only the commit that it stands for is used from here on.
    commit = _git(
        top,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{reference}^{{commit}}",
        why=_no_commit(reference),
    )
    sha = commit.decode().strip()
    below = real.relative_to(top.resolve()).as_posix()
    with tempfile.TemporaryDirectory(prefix="llm-relay-plan-") as scratch:
        place = Path(scratch) / below
        place.mkdir(parents=True, exist_ok=True)
        entries = _entries(_git(top, "ls-tree", "-r", "-z", "--full-tree", sha, "--", below))
        for path, data in _blobs(top, entries):
            target = Path(scratch) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        yield Base(place, reference, sha, missing=not entries)


def _no_repository(reference: str, folder: Path) -> str:
    return f"{reference} is not a folder, and {folder} is not in a git work tree"


def _no_commit(reference: str) -> str:
    return f"{reference} is neither a folder nor a commit that git knows here; fetch it first (git fetch origin …)"


def _git(folder: Path, *arguments: str, why: str = "", given: bytes = b"") -> bytes:
    """What a git command prints. Raises BaseError: with ``why`` where git refuses, else with git's own words."""
    command: Sequence[str] = ("git", "-C", os.fspath(folder), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE, input=given)
    except FileNotFoundError:
        raise BaseError("git is not installed here; give a folder as --base") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BaseError(f"git {arguments[0]} failed: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if "safe.directory" in said:
            # As in a container of CI whose user is not the owner of the checkout.
            raise BaseError(f"git does not trust this folder, whose owner is somebody else; allow it: {said.strip()}")
        raise BaseError(why or f"git {arguments[0]} failed: {said}")
    return done.stdout


def _entries(listing: bytes) -> list[tuple[str, str]]:
    """Path and object of every regular file that ``git ls-tree -z`` lists; links and submodules are left out."""
    entries = []
    for line in listing.split(b"\0"):
        about, tab, name = line.partition(b"\t")
        path = os.fsdecode(name)
        # A commit is somebody else's: nothing in it may be written outside of the folder.
        if tab and about.startswith(b"100") and ".." not in Path(path).parts and not os.path.isabs(path):
            entries.append((path, about.split()[2].decode()))
    return entries


def _blobs(folder: Path, entries: list[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    """Each path with its content, as ``git cat-file --batch`` prints them: a line with the size, then the bytes."""
    names = "".join(f"{name}\n" for _, name in entries)
    data = _git(folder, "cat-file", "--batch", given=names.encode())
    at = 0
    for path, _ in entries:
        begin = data.index(b"\n", at) + 1
        end = begin + int(data[at:begin].split()[2])
        yield path, data[begin:end]
        at = end + 1
