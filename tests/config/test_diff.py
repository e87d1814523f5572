"""What a change means, and what it does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.config.diff import Change, Item, Plan, Sessions, diff
from gateway.config.load import Loader
from gateway.config.model import Snapshot

from .folders import snapshot_of, write

KEYS = {"OPENAI_API_KEY": "k1", "ANTHROPIC_API_KEY": "k2", "A": "ka", "B": "kb", "PROXY": "http://u:secret@proxy:1"}

ROUTER = """\
name: smart
description: Traffic
designator: {model: openai/gpt-5-nano, timeout: 1500ms}
candidates:
  - {model: openai/gpt-4o, purpose: Everyday}
  - {model: anthropic/claude-sonnet-4-5, purpose: Code}
  - {model: openai/gpt-4.1, purpose: Long texts}
strategy: session
tags: [b, a]
tests:
  - {ask: Write code, expect: anthropic/claude-sonnet-4-5}
"""
GATEWAY = """\
kind: gateway
providers: {acme: {wire: openai, base_url: https://acme.example/v1, api_key: env:A}}
models: {openai/gpt-4o: {price: {input: 2.5, output: 10}}}
clients:
  - {name: team, key: env:A, routers: [smart], tags: [x]}
operators: [{name: op, key: env:B}]
limits: {idle: 30s}
allowed_hosts: [a.example, b.example]
"""
FILES = {"smart.yaml": ROUTER, "gateway.yaml": GATEWAY}


def planned(folder: Path, before: dict[str, str], after: dict[str, str], *, require_keys: bool = True) -> Plan:
    loader = Loader(KEYS, require_keys=require_keys)
    sides: list[Snapshot] = []
    for name, files in (("before", before), ("after", after)):
        sides.append(snapshot_of(loader.load(write(folder / name, files))))
    return diff(*sides)


def edited(*edits: tuple[str, str]) -> dict[str, str]:
    """The files with some text replaced, each in the first file that has it."""
    files = dict(FILES)
    for old, new in edits:
        name = next(name for name, text in files.items() if old in text)
        files[name] = files[name].replace(old, new, 1)
    return files


# --- nothing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(edited(("name: smart", "# why\nname: smart  # this")), id="comments"),
        pytest.param(edited(("description: Traffic\n", ""), ("tags:", "description: Traffic\ntags:")), id="key order"),
        pytest.param(edited(("timeout: 1500ms", "timeout: 1.5s")), id="another way to write it"),
        pytest.param(edited(("[b, a]", "[a, b]")), id="order of a set"),
        pytest.param(edited(("[a.example, b.example]", "[b.example, a.example]")), id="order of hosts"),
        pytest.param(edited(("tags:", "fallback: openai/gpt-4o\ntags:")), id="a default written out"),
        pytest.param(edited(("tags:", "session: {ttl: 60m}\ntags:")), id="another default written out"),
        pytest.param({"other.yaml": ROUTER, "gateway.yml": GATEWAY}, id="names of files"),
    ],
)
def test_what_changes_nothing_is_an_empty_plan(tmp_path: Path, after: dict[str, str]) -> None:
    plan = planned(tmp_path, FILES, after)
    assert plan == Plan()
    assert plan.empty


def test_keys_that_are_not_here_are_the_same_on_both_sides(tmp_path: Path) -> None:
    """Their stand-ins are random; what is compared is where they are kept."""
    files = edited(("env:A}", "env:GONE, proxy: 'env:GONE_TOO'}"), ("key: env:B", "key: file:/run/secrets/none"))
    assert planned(tmp_path, files, files, require_keys=False).empty


# --- routers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        pytest.param(
            [("description: Traffic", "description: More traffic")],
            [Change("description", "changed", "Traffic", "More traffic")],
            id="description",
        ),
        pytest.param(
            [("description: Traffic\n", "purpose: Answer\n")],
            [Change("description", "removed", "Traffic"), Change("purpose", "added", after="Answer")],
            id="purpose",
        ),
        pytest.param(
            [("gpt-5-nano, timeout: 1500ms", "gpt-4o, timeout: 250ms")],
            [
                Change("designator.model", "changed", "openai/gpt-5-nano", "openai/gpt-4o"),
                Change("designator.timeout", "changed", "1.5s", "250ms"),
            ],
            id="designator",
        ),
        pytest.param(
            [("purpose: Code", "purpose: Code reviews")],
            [Change("candidates[anthropic/claude-sonnet-4-5]", "changed", "Code", "Code reviews")],
            id="purpose of a candidate",
        ),
        pytest.param(
            [("openai/gpt-4.1", "openai/gpt-4.1-mini")],
            [
                Change("candidates[openai/gpt-4.1]", "removed", "Long texts"),
                Change("candidates[openai/gpt-4.1-mini]", "added", after="Long texts"),
            ],
            id="another candidate",
        ),
        pytest.param(
            [("tags:", "fallback: openai/gpt-4.1\ntags:")],
            [Change("fallback", "changed", "openai/gpt-4o", "openai/gpt-4.1")],
            id="fallback",
        ),
        pytest.param(
            [("tags:", "session: {ttl: 30m}\ntags:")], [Change("session.ttl", "changed", "1h", "30m")], id="ttl"
        ),
        pytest.param(
            [("strategy: session", "strategy: per_request")],
            [Change("strategy", "changed", "session", "per_request"), Change("session.ttl", "removed", "1h")],
            id="strategy",
        ),
        pytest.param([("[b, a]", "[b]")], [Change("tags", "changed", "a, b", "b")], id="tags"),
        pytest.param(
            [("ask: Write code", "ask: Write a program")],
            [Change("tests", "changed", "1 tests", "1: 1 new, 1 gone")],
            id="tests",
        ),
        pytest.param(
            [("tags:", "intelligence: {search: jina, summarizer: openai/gpt-4o}\ntags:")],
            [
                Change("intelligence.search", "added", after="jina"),
                Change("intelligence.summarizer", "added", after="openai/gpt-4o"),
            ],
            id="intelligence",
        ),
        pytest.param(
            [("tags:", "record: {sample: 0.50%}\ntags:")],
            [Change("record.sample", "added", after="0.5%"), Change("record.days", "added", after="7")],
            id="record",
        ),
    ],
)
def test_a_changed_router(tmp_path: Path, edits: list[tuple[str, str]], expected: list[Change]) -> None:
    plan = planned(tmp_path, FILES, edited(*edits))
    assert plan.routers == (Item("smart", "changed", tuple(expected)),)
    rest = msgspec.structs.replace(plan, routers=(), sessions=())
    assert rest.empty


def test_another_order_of_the_candidates(tmp_path: Path) -> None:
    """It decides ties, and who is the fallback where none is named."""
    line = "  - {model: openai/gpt-4o, purpose: Everyday}\n"
    plan = planned(tmp_path, FILES, edited((line, ""), ("strategy:", f"{line}strategy:")))
    (item,) = plan.routers
    assert [(change.path, change.kind) for change in item.changes] == [
        ("fallback", "changed"),
        ("candidates", "reordered"),
    ]
    assert item.changes[1].after == "anthropic/claude-sonnet-4-5, openai/gpt-4.1, openai/gpt-4o"


def test_routers_that_come_and_go(tmp_path: Path) -> None:
    files = {"smart.yaml": ROUTER.replace("name: smart", "name: clever")}
    plan = planned(tmp_path, {"smart.yaml": ROUTER}, files)
    assert [(item.name, item.kind) for item in plan.routers] == [("clever", "added"), ("smart", "removed")]
    added, removed = plan.routers
    assert Change("candidates[openai/gpt-4o]", "added", after="Everyday") in added.changes
    assert Change("fallback", "removed", "openai/gpt-4o") in removed.changes
    assert plan.sessions == (Sessions("smart", ended=True),)


# --- everything else --------------------------------------------------------------------------------------------------


def test_facts_of_models(tmp_path: Path) -> None:
    models = "{openai/gpt-4o: {price: {input: 3, output: 10}, context: 64000, max_output: 4096, capabilities: []}}"
    plan = planned(tmp_path, FILES, edited(("{openai/gpt-4o: {price: {input: 2.5, output: 10}}}", models)))
    assert plan.models == (
        Item(
            "openai/gpt-4o",
            "changed",
            (
                Change("context", "changed", "128,000", "64,000"),
                Change("max_output", "changed", "16,384", "4,096"),
                Change("capabilities", "changed", "json, pdf, tools, vision", "none"),
                Change("price.input", "changed", "$2.5", "$3"),
            ),
        ),
    )
    assert plan.routers == (), "the router itself is as it was"
    assert plan.sessions == (Sessions("smart", may_move=("openai/gpt-4o",)),)


def test_providers(tmp_path: Path) -> None:
    entry = "{wire: openai, base_url: https://new.example/v1, api_key: env:B, total: 20s, proxy: 'env:PROXY'}"
    after = edited(("{wire: openai, base_url: https://acme.example/v1, api_key: env:A}", entry))
    (item,) = planned(tmp_path, FILES, after).providers
    assert item == Item(
        "acme",
        "changed",
        (
            Change("base_url", "changed", "https://acme.example/v1", "https://new.example/v1"),
            Change("key", "changed"),
            Change("total", "added", after="20s"),
            Change("proxy", "added"),
        ),
    )


def test_what_a_built_in_provider_is_by_itself_is_not_told(tmp_path: Path) -> None:
    entry = ("acme: {", "openai: {base_url: http://127.0.0.1:9/v1}, acme: {")
    (item,) = planned(tmp_path, FILES, edited(entry)).providers
    assert item == Item("openai", "changed", (Change("base_url", "added", after="http://127.0.0.1:9/v1"),))
    used = edited(("openai/gpt-4.1", "groq/llama-3.3-70b-versatile"))
    (item,) = planned(tmp_path / "other", FILES, used, require_keys=False).providers
    assert item == Item("groq", "added", (Change("key", "added"),))


def test_clients_operators_and_limits(tmp_path: Path) -> None:
    after = edited(
        ("{name: team, key: env:A, routers: [smart], tags: [x]}", "{name: team, key: env:A}"),
        ("[{name: op, key: env:B}]", "[{name: boss, key: env:B}]"),
        ("limits: {idle: 30s}", "limits: {idle: 45s, body: 64KiB, sessions: 5, ledger: 36h}"),
        ("[a.example, b.example]", "[a.example]"),
    )
    plan = planned(tmp_path, FILES, after)
    assert plan.clients == (
        Item("team", "changed", (Change("routers", "changed", "smart", "all"), Change("tags", "removed", "x"))),
    )
    assert plan.operators == (
        Item("boss", "added", (Change("key", "added"),)),
        Item("op", "removed", (Change("key", "removed"),)),
    )
    assert plan.gateway == (
        Change("limits.idle", "changed", "30s", "45s"),
        Change("limits.body", "changed", "32MiB", "64KiB"),
        Change("limits.sessions", "changed", "100,000", "5"),
        Change("limits.ledger", "changed", "90d", "36h"),
        Change("allowed_hosts", "changed", "a.example, b.example", "a.example"),
    )
    assert plan.providers == (), "deadlines that a provider takes from the limits are told once"


def test_a_default_that_is_written_out_and_means_more(tmp_path: Path) -> None:
    """Whole answers take as long as they take, unless the file says how long the first byte may take."""
    plan = planned(tmp_path, FILES, edited(("limits: {idle: 30s}", "limits: {idle: 30s, first_byte: 60s}")))
    assert plan.gateway == (Change("limits.first_byte (whole answers)", "changed", "10m", "1m"),)


def test_search(tmp_path: Path) -> None:
    after = edited(("limits:", "search: {provider: jina, jina: {api_key: env:B}}\nlimits:"))
    assert planned(tmp_path, FILES, after).gateway == (
        Change("search.provider", "added", after="jina"),
        Change("search.jina_key", "added"),
    )


def test_no_key_is_ever_told(tmp_path: Path) -> None:
    after = edited(
        ("base_url: https://acme.example/v1, api_key: env:A", "base_url: https://acme.example/v1, proxy: 'env:PROXY'"),
        ("{name: team, key: env:A", "{name: team, key: env:B"),
        ("[{name: op, key: env:B}]", "[]"),
    )
    text = msgspec.json.encode(planned(tmp_path, FILES, after)).decode()
    assert text.count('"path":"key"') == 3
    assert not any(value in text for value in KEYS.values())


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        pytest.param([("purpose: Code", "purpose: Programs")], (), id="purpose"),
        pytest.param(
            [("openai/gpt-4.1,", "openai/gpt-5,")], (Sessions("smart", moved=("openai/gpt-4.1",)),), id="gone"
        ),
        pytest.param([("strategy: session", "strategy: per_request")], (Sessions("smart", ended=True),), id="strategy"),
        pytest.param([("{input: 2.5,", "{input: 9,")], (), id="price"),
        pytest.param(
            [("models: {openai/gpt-4o: {", "models: {openai/gpt-4o: {context: 1000, ")],
            (Sessions("smart", may_move=("openai/gpt-4o",)),),
            id="smaller",
        ),
        pytest.param([("models: {openai/gpt-4o: {", "models: {openai/gpt-4o: {context: 900000, ")], (), id="larger"),
    ],
)
def test_whose_sessions_move(tmp_path: Path, edits: list[tuple[str, str]], expected: tuple[Sessions, ...]) -> None:
    assert planned(tmp_path, FILES, edited(*edits)).sessions == expected


def test_a_router_without_sessions_has_none_to_move(tmp_path: Path) -> None:
    before = {"smart.yaml": ROUTER.replace("strategy: session\n", "")}
    after = {"smart.yaml": before["smart.yaml"].replace("openai/gpt-4.1", "openai/gpt-5")}
    assert planned(tmp_path, before, after).sessions == ()
