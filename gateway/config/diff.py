"""What a change means: two generations compared by what they do, not by how they are written.

Comments, the order of keys, the names of files and everything else that changes nothing for a request makes no
difference here; a change of only these is an empty plan. Keys are compared and never shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, TypeVar

import msgspec

from gateway.config.model import (
    Candidate,
    Client,
    Limits,
    Model,
    Operator,
    Provider,
    Router,
    RouterTest,
    Search,
    Secret,
    Snapshot,
    Timers,
)
from gateway.config.providers import BUILTIN, Builtin
from gateway.config.units import spell_duration, spell_share, spell_size

T = TypeVar("T")
N = TypeVar("N", Client, Operator)


class Change(msgspec.Struct, frozen=True):
    """One difference. ``before`` and ``after`` are empty where there is nothing, or nothing that may be shown."""

    path: str
    kind: Literal["added", "removed", "changed", "reordered"]
    before: str = ""
    after: str = ""


class Item(msgspec.Struct, frozen=True):
    """A router, model, provider, client or operator that is not what it was."""

    name: str
    kind: Literal["added", "removed", "changed"]
    changes: tuple[Change, ...]


class Sessions(msgspec.Struct, frozen=True):
    """What becomes of a router's running sessions."""

    router: str
    #: The router has no sessions any more: every request is decided anew.
    ended: bool = False
    #: Candidates whose sessions are decided anew with their next request.
    moved: tuple[str, ...] = ()
    #: Candidates that can do less than before: their sessions move where a request needs what is gone.
    may_move: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """All differences between two generations, each list in the order of names."""

    routers: tuple[Item, ...] = ()
    #: What is known of models that were there before and still are.
    models: tuple[Item, ...] = ()
    providers: tuple[Item, ...] = ()
    clients: tuple[Item, ...] = ()
    operators: tuple[Item, ...] = ()
    #: Limits, allowed hosts and search.
    gateway: tuple[Change, ...] = ()
    #: Routers whose sessions are concerned.
    sessions: tuple[Sessions, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether requests see no difference at all."""
        return self == _EMPTY


_EMPTY = Plan()


def diff(old: Snapshot, new: Snapshot) -> Plan:
    """How ``new`` differs from ``old``."""
    was, now = _differing(old.routers, new.routers)
    both = old.models.keys() & new.models.keys()
    return Plan(
        routers=_items(_each(was, _router), _each(now, _router), _arrangement(was, now)),
        models=_items({id: _model(old.models[id]) for id in both}, {id: _model(new.models[id]) for id in both}),
        providers=_items(
            {name: _provider(provider, old.limits) for name, provider in old.providers.items()},
            {name: _provider(provider, new.limits) for name, provider in new.providers.items()},
        ),
        clients=_items(_named(old.clients, _client), _named(new.clients, _client)),
        operators=_items(_named(old.operators, _operator), _named(new.operators, _operator)),
        gateway=tuple(_changes(_gateway(old), _gateway(new))),
        sessions=tuple(_sessions(was, now)),
    )


# --- comparing --------------------------------------------------------------------------------------------------------


class _Value(NamedTuple):
    """A field's value: what is compared, and what is shown of it."""

    compared: object
    shown: str


_Fields = dict[str, _Value]
_NOTHING: Mapping[str, tuple[Change, ...]] = {}


def _items(
    old: Mapping[str, _Fields], new: Mapping[str, _Fields], more: Mapping[str, tuple[Change, ...]] = _NOTHING
) -> tuple[Item, ...]:
    """The named things that differ; ``more`` is what their fields do not show."""
    items = []
    for name in sorted(old.keys() | new.keys()):
        changes = (*_changes(old.get(name, {}), new.get(name, {})), *more.get(name, ()))
        if name not in old:
            items.append(Item(name, "added", changes))
        elif name not in new:
            items.append(Item(name, "removed", changes))
        elif changes:
            items.append(Item(name, "changed", changes))
    return tuple(items)


def _changes(old: _Fields, new: _Fields) -> Iterable[Change]:
    for path in dict.fromkeys((*old, *new)):
        was, now = old.get(path), new.get(path)
        if was is None and now is not None:
            yield Change(path, "added", after=now.shown)
        elif now is None and was is not None:
            yield Change(path, "removed", before=was.shown)
        elif was is not None and now is not None and was.compared != now.compared:
            yield Change(path, "changed", was.shown, now.shown)


def _plain(fields: Mapping[str, str | None]) -> _Fields:
    """Fields that are compared as they are shown; those without a value are left out."""
    return {path: _Value(text, text) for path, text in fields.items() if text}


def _differing(old: Mapping[str, T], new: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """Both without what is the same in both."""
    same = {name for name, each in old.items() if new.get(name) == each}
    was = {name: each for name, each in old.items() if name not in same}
    return was, {name: each for name, each in new.items() if name not in same}


def _each(things: Mapping[str, T], fields: Callable[[T], _Fields]) -> dict[str, _Fields]:
    return {name: fields(thing) for name, thing in things.items()}


def _named(entries: Iterable[N], fields: Callable[[N], _Fields]) -> dict[str, _Fields]:
    return {entry.name: fields(entry) for entry in entries}


# --- fields -----------------------------------------------------------------------------------------------------------


def _router(router: Router) -> _Fields:
    fields = _plain(
        {
            "description": router.description,
            "purpose": router.purpose,
            "designator.model": router.designator.model.id,
            "designator.timeout": spell_duration(router.designator.timeout),
        }
    )
    for candidate in router.candidates:
        fields[_candidate(candidate)] = _Value(candidate.purpose, candidate.purpose)
    fields |= _plain(
        {
            "fallback": router.fallback.id,
            "strategy": router.strategy,
            "session.ttl": spell_duration(router.session_ttl) if router.strategy == "session" else None,
            "tags": ", ".join(sorted(router.tags)),
        }
    )
    if router.intelligence is not None:
        fields |= _plain(
            {
                "intelligence.search": router.intelligence.search,
                "intelligence.summarizer": router.intelligence.summarizer.id,
                "intelligence.source": "file" if router.intelligence.source == "file" else None,
            }
        )
    if router.record is not None:
        fields |= _plain({"record.sample": spell_share(router.record.sample), "record.days": f"{router.record.days}"})
    return fields


def _candidate(candidate: Candidate) -> str:
    return f"candidates[{candidate.id}]"


def _arrangement(old: Mapping[str, Router], new: Mapping[str, Router]) -> dict[str, tuple[Change, ...]]:
    """By router what its fields do not show: another order of the candidates, other tests."""
    return {name: tuple(_rearranged(old[name], new[name])) for name in old.keys() & new.keys()}


def _rearranged(old: Router, new: Router) -> Iterable[Change]:
    was = [candidate.id for candidate in old.candidates]
    now = [candidate.id for candidate in new.candidates]
    if [id for id in was if id in now] != [id for id in now if id in was]:
        yield Change("candidates", "reordered", ", ".join(was), ", ".join(now))
    before, after = _tests(old.tests), _tests(new.tests)
    gone, come = (before - after).total(), (after - before).total()
    if gone or come:
        yield Change("tests", "changed", f"{before.total()} tests", f"{after.total()}: {come} new, {gone} gone")


def _tests(tests: Iterable[RouterTest]) -> Counter[bytes]:
    return Counter(msgspec.json.encode(_placeless(test)) for test in tests)


def _placeless(test: RouterTest) -> RouterTest:
    """A test without its lines: one that moves down in its file is no other test."""
    steps = tuple(msgspec.structs.replace(step, line=0) for step in test.steps)
    return msgspec.structs.replace(test, line=0, steps=steps)


def _model(model: Model) -> _Fields:
    price, capabilities = model.price, model.capabilities
    known = {} if price is None else {f"price.{name}": usd for name, usd in msgspec.structs.asdict(price).items()}
    return _plain(
        {
            "context": _count(model.context),
            "max_output": _count(model.max_output),
            "capabilities": None if capabilities is None else ", ".join(sorted(capabilities)) or "none",
            **{path: None if usd is None else f"${usd:g}" for path, usd in known.items()},
        }
    )


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _provider(provider: Provider, limits: Limits) -> _Fields:
    timers, usual = _timers(provider.timers), _timers(limits.timers)
    builtin = BUILTIN.get(provider.name)
    # What a built-in provider is by itself nobody wrote, and nobody changes.
    known = {} if builtin is None else _facts(builtin)
    fields = _plain(
        {
            **{name: fact for name, fact in _facts(provider).items() if fact != known.get(name)},
            **{name: spell_duration(timers[name]) for name in timers if timers[name] != usual[name]},
        }
    )
    if provider.proxy is not None:
        # Its address may hold a password.
        fields["proxy"] = _Value(provider.proxy, "")
    return fields | _key(provider.key)


def _facts(provider: Provider | Builtin) -> dict[str, str]:
    return {
        "wire": provider.wire,
        "base_url": provider.base_url,
        "stream_usage": "yes" if provider.stream_usage else "no",
        "structured": provider.structured,
    }


def _timers(timers: Timers) -> dict[str, float]:
    """The deadlines by their names in a file; that of whole answers follows from whether ``first_byte`` is written."""
    values: dict[str, float] = msgspec.structs.asdict(timers)
    values["first_byte (whole answers)"] = values.pop("whole")
    return values


def _key(key: Secret | None, path: str = "key") -> _Fields:
    return {} if key is None else {path: _Value((key.reference, key), "")}


def _client(client: Client) -> _Fields:
    routers = "all" if client.routers is None else ", ".join(sorted(client.routers)) or "none"
    return _plain({"routers": routers, "tags": ", ".join(sorted(client.tags))}) | _key(client.key)


def _operator(operator: Operator) -> _Fields:
    return _key(operator.key)


def _gateway(snapshot: Snapshot) -> _Fields:
    limits = snapshot.limits
    timers = _timers(limits.timers)
    return _plain(
        {
            **{f"limits.{name}": spell_duration(seconds) for name, seconds in timers.items()},
            "limits.body": spell_size(limits.body),
            "limits.concurrency": f"{limits.concurrency:,}",
            "limits.sessions": f"{limits.sessions:,}",
            "limits.ledger": spell_duration(limits.ledger),
            "allowed_hosts": ", ".join(sorted(snapshot.allowed_hosts)),
        }
    ) | _search(snapshot.search)


def _search(search: Search | None) -> _Fields:
    if search is None:
        return {}
    fields: _Fields = {}
    for name, value in msgspec.structs.asdict(search).items():
        path = f"search.{name}"
        fields |= _key(value, path) if isinstance(value, Secret) else _plain({path: value})
    return fields


# --- sessions ---------------------------------------------------------------------------------------------------------


def _sessions(old: Mapping[str, Router], new: Mapping[str, Router]) -> Iterable[Sessions]:
    for name, was in sorted(old.items()):
        now = new.get(name)
        if was.strategy != "session":
            continue
        if now is None or now.strategy != "session":
            yield Sessions(name, ended=True)
            continue
        left = {candidate.id: candidate.model for candidate in now.candidates}
        moved = tuple(each.id for each in was.candidates if each.id not in left)
        less = tuple(each.id for each in was.candidates if each.id in left and _can_less(each.model, left[each.id]))
        if moved or less:
            yield Sessions(name, moved=moved, may_move=less)


def _can_less(was: Model, now: Model) -> bool:
    """Whether there may be requests that ``was`` could serve and ``now`` cannot, by what is known of them."""
    if now.capabilities is not None and (was.capabilities is None or was.capabilities - now.capabilities):
        return True
    return any(
        mine is not None and (theirs is None or mine < theirs)
        for mine, theirs in ((now.context, was.context), (now.max_output, was.max_output))
    )
