"""References to secrets, and the secrets behind them. No value ever gets into a problem."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from gateway.config.files import Unreadable, read_regular, state
from gateway.config.model import Secret
from gateway.config.problems import Place, Report, show

#: A file with a secret may have this many bytes.
MAX_BYTES = 65_536

#: Folders, separated as in PATH, that ``file:`` references must stay in; not set, any absolute path will do.
FOLDERS = "LLM_RELAY_SECRETS_DIR"

_BARE = "put the bare key there"
#: Makes stand-ins that nobody can guess, the same for the same reference in this process.
_SEED = secrets.token_bytes(32)


class Secrets:
    """Finds secrets in ``environ`` and in files.

    Not ``required``, as where CI checks a configuration, a secret that is not there is only a warning, and one
    that nobody can guess stands in for it.
    """

    def __init__(self, environ: Mapping[str, str], report: Report, *, required: bool = True) -> None:
        self.environ = environ
        self.required = required
        #: The files that were looked at, as they looked right before, to find out when they have changed.
        self.files: dict[str, str] = {}
        self._report = report
        self._folders = [Path(folder) for folder in environ.get(FOLDERS, "").split(os.pathsep) if folder]

    def unheard(self, *, required: bool = True) -> Secrets:
        """One whose problems nobody hears of; the files that it looks at are taken down here."""
        other = Secrets(self.environ, Report(), required=required)
        other.files = self.files
        return other

    def resolve(self, reference: str, place: Place) -> Secret | None:
        """The secret behind ``env:NAME`` or ``file:/path``; None, with a problem at ``place``, where there is none."""
        kind, _, target = reference.partition(":")
        if kind == "env":
            value = self.environ.get(target, "")
            if not value:
                return self.missing(place, f"{target} is not set", f"set {target}", reference)
            return self._checked(value, target, place, reference)
        return self.from_file(target, place)

    def usual(self, variable: str, place: Place) -> Secret | None:
        """The secret in a well-known variable, or in the file that ``<variable>_FILE`` names; None where there is
        neither, which is no problem.
        """
        if self.environ.get(variable):
            return self.resolve(f"env:{variable}", place)
        path = self.environ.get(f"{variable}_FILE")
        return self.from_file(path, place, restricted=False) if path else None

    def from_file(self, path: str, place: Place, *, restricted: bool = True) -> Secret | None:
        """The secret in the file at ``path``; ``restricted`` to the secrets' folders, where those are named."""
        reference = f"file:{path}"
        if restricted and not self._allowed(path):
            where = f"inside {' or '.join(map(str, self._folders))}" if self._folders else "absolute, without '..'"
            self._report.add(place, "E311", f"the file {show(path)} is out of bounds", f"use a path {where}")
            return None
        self.files[path] = state(Path(path))
        try:
            data = read_regular(Path(path), MAX_BYTES)
        except Unreadable as error:
            return self.missing(place, f"the file {show(path)} cannot be read: {error}", "mount it", reference)
        if len(data) > MAX_BYTES:
            self._report.add(place, "E310", f"the file {show(path)} has more than {MAX_BYTES:,} bytes", _BARE)
            return None
        if _world_readable(path):
            self._report.add(place, "W405", f"every user may read the file {show(path)}", "chmod o-r")
        return self._checked(data.decode("utf-8", "replace"), show(path), place, reference)

    def missing(self, place: Place, message: str, remedy: str, reference: str) -> Secret | None:
        """Take down that the secret behind ``reference`` is not there; what stands in for it, if it is not required."""
        if self.required:
            self._report.add(place, "E310", message, remedy)
            return None
        self._report.add(place, "W406", message, f"{remedy} where the gateway runs")
        return _stand_in(reference)

    def _checked(self, value: str, source: str, place: Place, reference: str) -> Secret | None:
        value = value.removesuffix("\n").removesuffix("\r")
        if not value:
            self._report.add(place, "E310", f"{source} is empty", _BARE)
            return None
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            self._report.add(place, "E310", f"{source} is not one line of printable ASCII", _BARE)
            return None
        return Secret(value, reference)

    def _allowed(self, path: str) -> bool:
        pure = PurePosixPath(path)
        if not pure.is_absolute() or ".." in pure.parts or "\0" in path:
            return False
        real = Path(os.path.realpath(path))
        return not self._folders or any(real.is_relative_to(os.path.realpath(folder)) for folder in self._folders)


def stands_in(secret: Secret) -> bool:
    """Whether ``secret`` is none, and only stands in for one that is not there."""
    return secret == _stand_in(secret.reference)


def _stand_in(reference: str) -> Secret:
    return Secret(hashlib.blake2b(reference.encode(), key=_SEED, digest_size=32).hexdigest(), reference)


def _world_readable(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False
