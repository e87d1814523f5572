"""The configuration folder: a fingerprint of it, and all of its files read as one generation.

What belongs to a generation: the folder's own ``*.yaml`` and ``*.yml`` entries. Sub-folders do not, nor do hidden files
and what editors leave behind (``.x.swp``, ``x.yaml~``, ``#x#``, ``4913``). An entry with such a name that is not a
readable regular file refuses the generation: half of a configuration is never applied.

Two layouts replace a whole folder in one step, and reading must never see half of each:

* git-sync re-points the folder, which is a symbolic link. The link is followed once, and everything is read below its
  target.
* A Kubernetes ConfigMap has ``x.yaml -> ..data/x.yaml`` and re-points ``..data``. Where ``..data`` exists, it is
  followed once, and its target is read instead of the links.

Whatever else happens meanwhile, a file rewritten in place or a folder that vanishes, shows as two fingerprints that
differ, and then reading starts over.

Nothing here ever waits: types are looked at before anything is opened, and opened without blocking.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.config import git
from gateway.config.problems import Marks, Place, Problem

MAX_FILES = 5_000
MAX_BYTES = 1 << 20

_EXTENSIONS = (".yaml", ".yml")
_ATTEMPTS = 4
_DATA = "..data"
_REVISION = "REVISION"
#: Symbolic links on the way to the folder that are followed, as many as Linux itself follows.
_MOST_LINKS = 40
_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)


class File(msgspec.Struct, frozen=True):
    """One file of a generation; ``name`` is relative to the folder."""

    name: str
    data: bytes


class Tree(msgspec.Struct, frozen=True):
    """A generation's bytes, read together."""

    #: As the user named it; problems are shown with it.
    folder: Path
    #: Sorted by name.
    files: tuple[File, ...]
    problems: tuple[Problem, ...]
    #: SHA-256 over all names and bytes, and over what could not be read. Equal content, equal digest.
    digest: str
    #: As of :func:`fingerprint`, at the time of reading.
    fingerprint: str
    commit: str | None = None

    @property
    def revision(self) -> str:
        """The digest in short: 12 hex digits."""
        return self.digest[:12]

    def shown(self, name: str) -> str:
        """A file's name for people: below the folder as they named it."""
        return shown(self.folder, name)


class Unreadable(Exception):
    """A file that cannot be read, with the reason in words."""


def shown(folder: Path, name: str) -> str:
    """``name`` below ``folder``, on one line whatever its characters."""
    text = (folder / name).as_posix() if name else folder.as_posix()
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def fingerprint(folder: Path) -> str:
    """What the folder looks like from outside: cheap, never raises, never waits.

    Differs whenever a file was replaced, rewritten, added or removed, or a link re-pointed, and no fake clock or tool
    preserved size, both times and inode. Equal fingerprints are therefore a strong hint and no proof of equal content;
    :func:`read` and :attr:`Tree.digest` are.
    """
    seen = []
    for root in _roots(folder):
        seen.append(os.fspath(root))
        try:
            names = sorted(_names(root))
        except OSError as error:
            seen.append(f"{type(error).__name__} {error.errno}")
            continue
        seen.extend(f"{name}\0{state(root / name)}" for name in (*names, _REVISION))
    return hashlib.sha256("\n".join(seen).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def watch_points(*folders: Path) -> list[Path]:
    """The folders whose events concern ``folders``: themselves, their parents, and the parent of every symlink on the
    way.

    git-sync re-points a symlink, which may well lie above a folder; Kubernetes swaps ``..data`` inside it; neither
    touches the target. Raises OSError.
    """
    points = {point for folder in folders for point in _points_on_the_way(folder)}
    return sorted(point for point in points if point.is_dir())


def _points_on_the_way(folder: Path) -> set[Path]:
    absolute = folder.absolute()
    place = Path(absolute.anchor)
    points: set[Path] = set()
    ahead = list(reversed(absolute.parts[1:]))
    links = 0
    while ahead:
        step = place / ahead.pop()
        if step.name == "..":
            place = place.parent
        elif links < _MOST_LINKS and step.is_symlink():
            links += 1
            points.add(place)
            target = step.readlink()
            ahead += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            place = Path(target.anchor) if target.is_absolute() else place
        else:
            place = step
    return points | {place, place.parent}


def read(folder: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> Tree:
    """Everything in ``folder`` that belongs to the generation; never raises, never waits.

    The tree is of one moment: the fingerprints before and after reading agree, or a problem says that they never did.
    """
    for _ in range(_ATTEMPTS):
        before = fingerprint(folder)
        tree = _read_once(folder, before, max_files, max_bytes)
        if fingerprint(folder) == before:
            return tree
    problem = _problem(folder, "", "E402", "the folder keeps changing while it is read", "try again in a moment")
    return msgspec.structs.replace(tree, problems=(*tree.problems, problem))


def read_regular(path: Path, limit: int) -> bytes:
    """A regular file's bytes, at most ``limit`` + 1 of them. Raises Unreadable; never waits."""
    try:
        # Opening a device may already do something, so the type is looked at first, and again once it is open.
        _regular(os.stat(path))
        descriptor = os.open(path, _OPEN)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            _regular(os.fstat(descriptor))
            data = b""
            while len(data) <= limit and (more := file.read(limit + 1 - len(data))):
                data += more
            return data
    except FileNotFoundError:
        raise Unreadable("it does not exist") from None
    except OSError as error:
        raise Unreadable(error.strerror or type(error).__name__) from error
    except ValueError:
        raise Unreadable("its name is impossible") from None


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(f"it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'not a file')}, not a regular file")


def _read_once(folder: Path, fingerprint: str, max_files: int, max_bytes: int) -> Tree:
    roots = _roots(folder)
    files: list[File] = []
    problems: list[Problem] = []
    digest = hashlib.sha256()
    for path in _entries(folder, roots, problems, max_files):
        try:
            data = _read_entry(path, roots[-1], max_bytes)
        except _Refused as refused:
            problems.append(_problem(folder, path.name, *refused.args))
            data = "".join(refused.args).encode()
        else:
            files.append(File(path.name, data))
        digest.update(_framed(path.name, data))
    # What refuses the folder as a whole must count too, else the good state after it would look like the one before.
    digest.update("".join(problem.code for problem in problems if problem.severity == "error").encode())
    return Tree(folder, tuple(files), tuple(problems), digest.hexdigest(), fingerprint, git.commit(roots))


class _Refused(Exception):
    """An entry that refuses the generation: code, message, remedy."""


def _read_entry(path: Path, root: Path, max_bytes: int) -> bytes:
    real = path
    if path.is_symlink():
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(root):
            raise _Refused("E403", "the link points out of the folder", "copy the file into the folder")
    try:
        data = read_regular(real, max_bytes)
    except Unreadable as error:
        message = f"the link leads nowhere: {error}" if real is not path else f"cannot be read: {error}"
        raise _Refused("E402", message, "remove it or correct its permissions") from None
    if len(data) > max_bytes:
        raise _Refused("E110", f"the file is larger than {max_bytes:,} bytes", "split it")
    return data


def _entries(folder: Path, roots: tuple[Path, ...], problems: list[Problem], max_files: int) -> list[Path]:
    """The paths to read, sorted by name."""
    found: dict[str, Path] = {}
    try:
        for root in roots:
            for name in _names(root):
                # Beside a ConfigMap's links, regular files may stand in the folder itself.
                if root is roots[0] or not _is_data_link(root / name):
                    found.setdefault(name, root / name)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problems.append(_problem(folder, "", "E402", f"the folder cannot be read: {reason}", "check its path"))
        return []
    for name in sorted(found):
        if not name.endswith(_EXTENSIONS):
            problems.append(_problem(folder, name, "W402", "ignored: the extension is not lower case", "rename it"))
            del found[name]
    if len(found) > max_files:
        message = f"{len(found):,} files are more than the {max_files:,} allowed"
        problems.append(_problem(folder, "", "E110", message, "merge or remove some"))
        return []
    return [found[name] for name in sorted(found)]


def _names(folder: Path) -> Iterator[str]:
    """The names in ``folder`` that look like documents, in any letter case. Raises OSError."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(_EXTENSIONS) and not entry.name.startswith((".", "#")):
                yield entry.name


def _is_data_link(path: Path) -> bool:
    try:
        return os.readlink(path).startswith(_DATA + os.sep)
    except OSError:
        return False


def _roots(folder: Path) -> tuple[Path, ...]:
    """The real folders to read: of a ConfigMap its data before the mount, else only the folder itself."""
    real = Path(os.path.realpath(folder))
    data = Path(os.path.realpath(real / _DATA))
    return (data, real) if data.parent == real and data.name != _DATA and data.is_dir() else (real,)


def state(path: Path) -> str:
    """What can be seen of a file without opening it; never raises, never waits."""
    try:
        link = os.lstat(path)
        status = os.stat(path) if stat.S_ISLNK(link.st_mode) else link
        target = os.readlink(path) if status is not link else ""
    except OSError as error:
        return f"{type(error).__name__} {error.errno}"
    except ValueError:
        return "impossible"
    fields = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    return f"{fields} {target}"


def _framed(name: str, data: bytes) -> bytes:
    """Length-prefixed, so that no two trees run together to the same bytes."""
    raw = os.fsencode(name)
    return b"%d:%b%d:%b" % (len(raw), raw, len(data), data)


def _problem(folder: Path, name: str, code: str, message: str, remedy: str) -> Problem:
    return Place(shown(folder, name), Marks()).problem(code, message, remedy)
