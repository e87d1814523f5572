"""From a folder to a snapshot: read, parse, check, resolve; all problems at once, or everything valid.

::

    files.read      bytes of one moment                    E4xx
    yaml.read       values and their places, file by file  E1xx
    schema.check    the shape of each document             E2xx
    compile         references across documents            E3xx
    Snapshot        frozen; only if there was no error

A file that fails at one step is still used in the next as far as that makes sense: a misspelt field does not hide an
undeclared model. But one mistake is told once: while the gateway document cannot be read, nobody hears that what it
may declare is undeclared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import documents, files, git, schema, settings, silence, yaml
from gateway.config.model import Limits, Router, Snapshot
from gateway.config.problems import MAX_PROBLEMS, Marks, Place, Problem, Report, did_you_mean, show
from gateway.config.providers import Providers
from gateway.config.references import Models
from gateway.config.routers import compile_router, model_references
from gateway.config.schema import Kind
from gateway.config.secrets import Secrets

_LOOKS_LIKE_GATEWAY = re.compile(rb"^\s*[\"']?kind[\"']?\s*:\s*[\"']?gateway", re.MULTILINE)


class Loaded(msgspec.Struct, frozen=True):
    """What became of a folder. Without a snapshot, ``problems`` say why; with one, they are warnings."""

    snapshot: Snapshot | None
    problems: tuple[Problem, ...]
    #: 12 hex digits over every file's name and bytes.
    revision: str
    commit: str | None
    #: The documents of the snapshot's routers, by the routers' names: where advice on them points to.
    places: Mapping[str, Place] = {}
    #: What comments in the files say of advice, by file as problems name it; files without such comments are missing.
    silences: Mapping[str, silence.Silences] = {}
    #: The files that keys were looked for in, and how :func:`gateway.config.files.state` saw them right before.
    secret_files: Mapping[str, str] = {}


class _Document(msgspec.Struct, frozen=True):
    """One file's document as far as it can be known without the others."""

    value: object
    marks: Marks
    problems: tuple[Problem, ...]
    #: None where it says that it is something else.
    kind: Kind | None
    silences: silence.Silences | None
    #: Only if it is valid.
    typed: documents.RouterDocument | documents.GatewayDocument | None = None


class Loader:
    """Loads generations of one folder; files that did not change are not parsed again.

    ``environ`` is where secrets and addresses are looked up. Without ``require_keys``, as where CI checks a pull
    request, keys that are not there are warnings.
    """

    def __init__(self, environ: Mapping[str, str], *, require_keys: bool = True) -> None:
        self._environ = environ
        self._require_keys = require_keys
        self._parsed: dict[bytes, _Document] = {}

    def load(self, folder: Path) -> Loaded:
        """Read and compile. Never raises."""
        return self.compile(files.read(folder))

    def compile(self, tree: files.Tree) -> Loaded:
        """Compile what was read. Never raises."""
        parsed = {file.data: self._parsed.get(file.data) or _parse(file.data) for file in tree.files}
        self._parsed = parsed
        commit = git.named(self._environ.get("LLM_RELAY_COMMIT", "")) or tree.commit
        generation = _Generation(tree, parsed, self._environ, self._require_keys)
        snapshot = generation.compile(commit)
        silences = {tree.shown(file.name): said for file in tree.files if (said := parsed[file.data].silences)}
        return Loaded(
            snapshot,
            generation.report.problems,
            tree.revision,
            commit,
            generation.places,
            silences,
            generation.secrets.files,
        )


def load(folder: Path, environ: Mapping[str, str], *, require_keys: bool = True) -> Loaded:
    """The generation in ``folder``; see :class:`Loader`."""
    return Loader(environ, require_keys=require_keys).load(folder)


def compile_tree(tree: files.Tree, environ: Mapping[str, str], *, require_keys: bool = True) -> Loaded:
    """The generation in ``tree``; see :class:`Loader`."""
    return Loader(environ, require_keys=require_keys).compile(tree)


def _parse(data: bytes) -> _Document:
    written = yaml.read(data)
    value, marks = written.value, written.marks
    silences = silence.read(data)
    if value is msgspec.UNSET:
        return _Document(value, marks, _bounded(written.problems), None, silences)
    if not isinstance(value, dict):
        wrong = Place("", marks).problem("E201", f"{show(value)} is not a document", "begin with 'name:'")
        return _Document(value, marks, _bounded((*written.problems, wrong)), None, silences)
    kind = value.get("kind", "router")
    if kind not in ("router", "gateway"):
        remedy = did_you_mean(kind if isinstance(kind, str) else "", ("router", "gateway"), "use router or gateway")
        wrong = Place("", marks, ("kind",)).problem("E207", f"{show(kind)} is not a kind of document", remedy)
        return _Document(value, marks, _bounded((*written.problems, wrong)), None, silences)
    return _shaped(value, kind, written, silences)


def _shaped(value: dict[str, Any], kind: Kind, written: yaml.Written, silences: silence.Silences | None) -> _Document:
    typed, found = schema.read(value, kind, written.marks)
    said = {(problem.line, problem.column) for problem in written.problems}
    found = [problem for problem in found if (problem.line, problem.column) not in said]
    problems = _bounded((*written.problems, *found))
    return _Document(value, written.marks, problems, kind, silences, None if problems else typed)


def _bounded(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """No file may drown the others: a hundred problems, and that there are more."""
    ordered = sorted(set(problems), key=lambda problem: problem.order)
    if len(ordered) <= MAX_PROBLEMS:
        return tuple(ordered)
    last = ordered[MAX_PROBLEMS]
    more = Problem("", last.line, last.column, "", "E110", "this file has more problems than are shown", "begin above")
    return (*ordered[:MAX_PROBLEMS], more)


class _Generation:
    """One compilation: documents by kind, and the problems found on the way."""

    def __init__(
        self, tree: files.Tree, parsed: Mapping[bytes, _Document], environ: Mapping[str, str], require_keys: bool
    ) -> None:
        self.report = Report()
        self.places: dict[str, Place] = {}
        self._tree = tree
        self.secrets = Secrets(environ, self.report, required=require_keys)
        self._routers: list[tuple[files.File, _Document]] = []
        self._gateways: list[tuple[files.File, _Document]] = []
        #: Whether what declares providers and models has been understood, or is known not to be there.
        self._certain = True
        self._sort(parsed)

    def compile(self, commit: str | None) -> Snapshot | None:
        """The snapshot, if nothing is wrong with the generation."""
        gateway, place = self._gateway()
        limits = Limits()
        if gateway.limits is not msgspec.UNSET:
            limits = settings.limits(gateway.limits, place / "limits", self.report)
        # What is known of providers while the gateway document cannot be read is not worth telling.
        heard = self.report if self._certain else Report()
        secrets = self.secrets if self._certain else self.secrets.unheard(required=False)
        providers = Providers(gateway.providers, place / "providers", limits.timers, secrets, heard)
        names = self._names(providers)
        models = Models(gateway.models, providers, self._points_to(), self.report, certain=self._certain)
        for id in gateway.models:
            models.declare(id, place / "models" / id)
        routers = self._compile_routers(models)
        keys = settings.Keys(self.secrets, self.report)
        clients = settings.clients(gateway.clients, place / "clients", names, keys, self.report)
        operators = settings.operators(gateway.operators, place / "operators", keys, self.report)
        search = None
        if gateway.search is not msgspec.UNSET:
            search = settings.search(gateway.search, place / "search", self.secrets, self.report)
        if not self._routers and not self.report.failed and not gateway.allow_empty:
            nowhere = Place(self._tree.shown(""), Marks())
            self.report.add(nowhere, "E401", "there is no router", "add one, or set 'allow_empty: true'")
        if self.report.failed:
            return None
        available = providers.available()
        return Snapshot(
            revision=self._tree.revision,
            routers=routers,
            models=models.all(available),
            providers=available,
            clients=clients,
            operators=operators,
            allowed_hosts=frozenset(host.lower() for host in gateway.allowed_hosts),
            limits=limits,
            commit=commit,
            search=search,
        )

    def _sort(self, parsed: Mapping[bytes, _Document]) -> None:
        self.report.extend(self._tree.problems)
        hidden = any(problem.severity == "error" for problem in self._tree.problems)
        for file in self._tree.files:
            document = parsed[file.data]
            shown = self._tree.shown(file.name)
            self.report.extend(msgspec.structs.replace(problem, file=shown) for problem in document.problems)
            if document.kind == "gateway":
                self._gateways.append((file, document))
            elif document.kind == "router":
                self._routers.append((file, document))
            elif _LOOKS_LIKE_GATEWAY.search(file.data):
                hidden = True
        self._certain = self._gateways[0][1].typed is not None if self._gateways else not hidden

    def _place(self, file: files.File, document: _Document) -> Place:
        return Place(self._tree.shown(file.name), document.marks)

    def _gateway(self) -> tuple[documents.GatewayDocument, Place]:
        """The gateway document, or an empty one."""
        for file, document in self._gateways[1:]:
            remedy = f"merge it into {self._gateways[0][0].name}"
            self.report.add(self._place(file, document) / "kind", "E301", "a second gateway document", remedy)
        for file, document in self._gateways[:1]:
            if isinstance(document.typed, documents.GatewayDocument):
                return document.typed, self._place(file, document)
        return documents.GatewayDocument("gateway"), Place("", Marks())

    def _names(self, providers: Providers) -> list[str]:
        """The routers' names, each of them once."""
        owners: dict[str, Place] = {}
        names: list[str] = []
        for file, document in self._routers:
            name = _name(document)
            if name is None:
                continue
            names.append(name)
            place = self._place(file, document) / "name"
            owner = owners.setdefault(name.lower(), place)
            if owner is not place:
                remedy = f"{owner.file}:{owner.line} has it already"
                self.report.add(place, "E302", f"the name {show(name)} is taken", remedy)
            elif name.lower() in providers:
                self.report.add(place, "E302", f"{show(name)} is the name of a provider", "choose another name")
        return names

    def _points_to(self) -> dict[str, frozenset[str]]:
        """What each router names in a model's place, all in lower case."""
        return {
            name.lower(): frozenset(reference.lower() for _, reference in model_references(_mapping(document)))
            for _, document in self._routers
            if (name := _name(document)) is not None
        }

    def _compile_routers(self, models: Models) -> dict[str, Router]:
        routers: dict[str, Router] = {}
        for file, document in self._routers:
            place = self._place(file, document)
            if isinstance(document.typed, documents.RouterDocument):
                router = compile_router(document.typed, place, file.name, models, self.report)
                if router is not None:
                    routers[router.name] = router
                    self.places[router.name] = place
                continue
            said = {(problem.line, problem.column) for problem in document.problems}
            for steps, reference in islice(model_references(_mapping(document)), MAX_PROBLEMS):
                if place.marks.value(steps) in said:
                    continue
                here = Place(place.file, place.marks, steps)
                models.resolve(reference, here, router=_name(document) or "")
        return routers


def _mapping(document: _Document) -> dict[str, Any]:
    return document.value if isinstance(document.value, dict) else {}


def _name(document: _Document) -> str | None:
    name = _mapping(document).get("name")
    return name if isinstance(name, str) else None
