"""Metrics: the names that dashboards hold on to, the numbers, and labels that nobody outside can make."""

from __future__ import annotations

import random
import string
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.config.model import Candidate, Client, Designator, Model, Provider, Router, Secret, Snapshot
from gateway.costs import MOST_TOKENS
from gateway.errors import UpstreamError
from gateway.ledger import Entry, Outcome
from gateway.metrics import Metrics
from gateway.routing.decide import FallbackReason

from .conftest import RunPython

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def snapshot(revision: str = "rev1", commit: str | None = "c1", router: str = "smart") -> Snapshot:
    provider = Provider(name="p", wire="openai", base_url="http://p")
    models = {id_: Model(id=id_, name=id_[2:], provider=provider) for id_ in ("p/m", "p/n", "p/d")}
    candidates = tuple(Candidate(model=models[id_], purpose="any") for id_ in ("p/m", "p/n"))
    smart = Router(
        name=router,
        designator=Designator(model=models["p/d"], timeout=1.0),
        candidates=candidates,
        fallback=candidates[0],
        tags=("platform",),
    )
    return Snapshot(
        revision=revision,
        commit=commit,
        routers={router: smart},
        models=models,
        providers={"p": provider},
        clients=(Client(name="team", key=Secret("sk"), tags=("search", "platform")),),
    )


def entry(**values: Any) -> Entry:
    defaults = {"time": 0.0, "request_id": "r", "dialect": "openai", "router": "smart", "candidate": "p/m"}
    return Entry(**{**defaults, "status": 200, "decision": "session", **values})


FULL = entry(
    decision="designated",
    tags=("search",),
    designator="p/d",
    designator_outcome="designated",
    designator_ms=120.0,
    designator_input=300,
    designator_output=4,
    designator_cache_read=256,
    designator_reasoning=3,
    designator_cost=0.125,
    input=1000,
    output=200,
    cache_read=900,
    cache_write=50,
    reasoning=20,
    cost=0.25,
    dearest_cost=0.75,
    ttft_ms=400.0,
    total_ms=2500.0,
    relay_ms=0.4,
)


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics(CollectorRegistry())
    made.bind(snapshot())
    return made


def samples(page: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(page)
        for sample in family.samples
    }


def page_of(metrics: Metrics) -> str:
    return metrics.render("")[1].decode()


def named(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"llm_relay_{name}", frozenset(labels.items())


def value(page: Metrics | str, name: str, **labels: str) -> float | None:
    found = samples(page if isinstance(page, str) else page_of(page))
    return found.get(named(name, **labels))


def test_names_and_labels_are_those_that_dashboards_know(metrics: Metrics) -> None:
    metrics.record(FULL)
    metrics.upstream_error("p", "upstream_timeout")
    metrics.applied(snapshot(), now=1.0)
    found: dict[str, set[str]] = {}
    for family in parse(page_of(metrics)):
        for sample in family.samples:
            found.setdefault(family.name, set()).update(sample.labels)
    assert {name: labels for name, labels in found.items() if not name.startswith("process_")} == {
        "llm_relay_requests": {"router", "candidate", "decision", "status"},
        "llm_relay_request_duration_seconds": {"router", "le"},
        "llm_relay_time_to_first_token_seconds": {"router", "candidate", "le"},
        "llm_relay_relay_overhead_seconds": {"le"},
        "llm_relay_designator_requests": {"router", "designator", "outcome"},
        "llm_relay_designator_duration_seconds": {"router", "designator", "le"},
        "llm_relay_designator_tokens": {"router", "designator", "direction"},
        "llm_relay_candidate_tokens": {"router", "candidate", "direction"},
        "llm_relay_cost_usd": {"router", "model", "role"},
        "llm_relay_dearest_cost_usd": {"router"},
        "llm_relay_tag_cost_usd": {"tag", "role"},
        "llm_relay_tag_tokens": {"tag", "role", "direction"},
        "llm_relay_upstream_errors": {"provider", "code"},
        "llm_relay_inflight_requests": set(),
        "llm_relay_sessions": set(),
        "llm_relay_config_last_reload_successful": set(),
        "llm_relay_config_last_reload_success_timestamp_seconds": set(),
        "llm_relay_config_reloads": {"outcome"},
        "llm_relay_config_info": {"revision", "commit"},
    }
    assert {"process_resident_memory_bytes", "process_open_fds"} <= found.keys()


def test_what_is_watched_is_there_before_it_happens() -> None:
    """A counter that appears as 1 has never increased: rules and dashboards would miss the first of everything."""
    metrics = Metrics(CollectorRegistry())
    for outcome in ("applied", "refused"):
        assert value(metrics, "config_reloads_total", outcome=outcome) == 0
    metrics.bind(snapshot())
    codes = {UpstreamError.code, *(each.code for each in subclasses(UpstreamError))}
    expected = {named("upstream_errors_total", provider="p", code=code) for code in codes}
    for outcome in get_args(Outcome):
        expected.add(named("designator_requests_total", router="smart", designator="p/d", outcome=outcome))
    for reason in get_args(FallbackReason):
        labels = {"router": "smart", "candidate": "p/m", "decision": reason, "status": "200"}
        expected.add(named("requests_total", **labels))
    counters = ("upstream_errors_total", "designator_requests_total", "requests_total")
    found = {name: count for name, count in samples(page_of(metrics)).items() if name[0].endswith(counters)}
    assert found == dict.fromkeys(expected, 0)
    metrics.record(entry(decision="fallback_timeout"))
    metrics.bind(snapshot())
    labels = {"router": "smart", "candidate": "p/m", "decision": "fallback_timeout", "status": "200"}
    assert value(metrics, "requests_total", **labels) == 1


def test_a_router_with_one_candidate_asks_nobody() -> None:
    metrics = Metrics(CollectorRegistry())
    whole = snapshot()
    alone = replace(whole.routers["smart"], candidates=whole.routers["smart"].candidates[:1])
    metrics.bind(replace(whole, routers={"smart": alone}))
    assert not [name for name, _ in samples(page_of(metrics)) if "designator" in name or "requests_total" in name]


def subclasses(error: type[UpstreamError]) -> list[type[UpstreamError]]:
    return [each for kind in error.__subclasses__() for each in (kind, *subclasses(kind))]


def test_one_request_is_counted_everywhere_once(metrics: Metrics) -> None:
    metrics.record(FULL)
    smart = {"router": "smart"}
    assert value(metrics, "requests_total", **smart, candidate="p/m", decision="designated", status="200") == 1
    assert value(metrics, "designator_requests_total", **smart, designator="p/d", outcome="designated") == 1
    for name, seconds, labels in (
        ("request_duration_seconds", 2.5, smart),
        ("time_to_first_token_seconds", 0.4, {**smart, "candidate": "p/m"}),
        ("relay_overhead_seconds", 0.0004, {}),
        ("designator_duration_seconds", 0.12, {**smart, "designator": "p/d"}),
    ):
        assert value(metrics, f"{name}_count", **labels) == 1
        assert value(metrics, f"{name}_sum", **labels) == pytest.approx(seconds)
    assert value(metrics, "request_duration_seconds_bucket", **smart, le="2.0") == 0
    assert value(metrics, "request_duration_seconds_bucket", **smart, le="3.0") == 1


def test_tokens_and_costs_are_counted_by_role_and_never_mixed(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.record(FULL)
    expected = {named("dearest_cost_usd_total", router="smart"): 0.75}
    used = {"input": 1000, "output": 200, "cache_read": 900, "cache_write": 50, "reasoning": 20}
    asked = {"input": 300, "output": 4, "cache_read": 256, "reasoning": 3}
    for role, model, tokens, cost in (("candidate", "p/m", used, 0.25), ("designator", "p/d", asked, 0.125)):
        expected[named("cost_usd_total", router="smart", model=model, role=role)] = cost
        expected[named("tag_cost_usd_total", tag="search", role=role)] = cost
        for direction, count in tokens.items():
            labels = {"router": "smart", role: model, "direction": direction}
            expected[named(f"{role}_tokens_total", **labels)] = count
            expected[named("tag_tokens_total", tag="search", role=role, direction=direction)] = count
    found = {
        labels: count
        for labels, count in samples(page_of(metrics)).items()
        if labels[0].endswith(("tokens_total", "usd_total"))
    }
    assert found == {labels: 3 * count for labels, count in expected.items()}


def test_what_is_unknown_is_not_counted_as_zero(metrics: Metrics) -> None:
    metrics.record(entry(designator="p/d", designator_outcome="timeout", tags=("search",)))
    shown = {name for name, _ in samples(page_of(metrics)) if "tokens" in name or "usd" in name or "first" in name}
    assert shown == set()


def test_what_is_free_is_counted_as_zero(metrics: Metrics) -> None:
    metrics.record(entry(input=5, output=5, cost=0.0, dearest_cost=0.0))
    assert value(metrics, "cost_usd_total", router="smart", model="p/m", role="candidate") == 0
    assert value(metrics, "dearest_cost_usd_total", router="smart") == 0


@pytest.mark.parametrize("tokens", [-5, MOST_TOKENS + 1, 10**400], ids=["negative", "many", "more"])
def test_token_numbers_that_cannot_be_are_not_counted(metrics: Metrics, tokens: int) -> None:
    metrics.record(entry(input=tokens, output=7))
    assert value(metrics, "candidate_tokens_total", router="smart", candidate="p/m", direction="input") is None
    assert value(metrics, "candidate_tokens_total", router="smart", candidate="p/m", direction="output") == 7


@pytest.mark.parametrize(
    ("tags", "counted"),
    [
        ((), {}),
        (("platform",), {"platform": 1}),
        (("search", "platform"), {"search": 1, "platform": 1}),
        (("mine",), {"other": 1}),
        (("search", "mine", "yours", "other"), {"search": 1, "other": 1}),
    ],
)
def test_tags_that_nobody_declared_are_one(metrics: Metrics, tags: tuple[str, ...], counted: dict[str, int]) -> None:
    metrics.record(entry(input=1, tags=tags))
    found = {
        dict(labels)["tag"]: count
        for (name, labels), count in samples(page_of(metrics)).items()
        if name == "llm_relay_tag_tokens_total"
    }
    assert found == counted


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ({"router": None, "decision": None}, ("direct", "p/m", "direct", "200")),
        ({"router": None, "decision": None, "candidate": "p/undeclared"}, ("direct", "other", "direct", "200")),
        ({"router": None, "decision": None, "candidate": None, "status": 404}, ("other", "other", "other", "404")),
        ({"candidate": None, "decision": None, "status": 503}, ("smart", "other", "other", "503")),
        ({"router": "gone"}, ("other", "p/m", "session", "200")),
        ({"decision": "whim"}, ("smart", "p/m", "other", "200")),
        ({"status": 499}, ("smart", "p/m", "session", "499")),
        ({"status": 0}, ("smart", "p/m", "session", "other")),
        ({"status": 1 << 40}, ("smart", "p/m", "session", "other")),
    ],
)
def test_labels_of_a_request(metrics: Metrics, values: dict[str, Any], labels: tuple[str, ...]) -> None:
    metrics.record(entry(**values))
    names = ("router", "candidate", "decision", "status")
    assert value(metrics, "requests_total", **dict(zip(names, labels, strict=True))) == 1


def test_ten_thousand_strange_names_make_no_series(metrics: Metrics) -> None:
    used = {"input": 1, "cost": 1e-9, "designator_input": 1, "designator_cost": 1e-9, "ttft_ms": 1.0, "total_ms": 1.0}

    def strange(name: str, status: int) -> Entry:
        names = {"router": name, "candidate": name, "decision": name, "designator": name, "tags": (name, f"{name}2")}
        return entry(**used, **names, status=status, designator_outcome=name, designator_ms=1.0)

    metrics.record(strange("?", 9))
    metrics.upstream_error("?", "?")
    before = samples(page_of(metrics)).keys()
    dice = random.Random(7)
    for _ in range(10_000):
        name = "".join(dice.choices(string.printable, k=12))
        metrics.record(strange(name, dice.choice((-1, 0, 9, dice.randrange(600, 10**6)))))
        metrics.upstream_error(name, name)
    assert samples(page_of(metrics)).keys() == before
    assert value(metrics, "cost_usd_total", router="other", model="other", role="designator") == pytest.approx(
        10_001e-9
    )


@pytest.mark.parametrize(
    ("provider", "code", "labels"),
    [
        ("p", "upstream_rate_limited", ("p", "upstream_rate_limited")),
        ("p", "upstream_error", ("p", "upstream_error")),
        ("p", "context_length_exceeded", ("p", "other")),
        ("elsewhere", "upstream_timeout", ("other", "upstream_timeout")),
    ],
)
def test_labels_of_an_upstream_error(metrics: Metrics, provider: str, code: str, labels: tuple[str, str]) -> None:
    metrics.upstream_error(provider, code)
    assert value(metrics, "upstream_errors_total", provider=labels[0], code=labels[1]) == 1


def test_every_end_of_a_designation_has_its_label(metrics: Metrics) -> None:
    assert set(get_args(Outcome)) == {
        "designated",
        *(reason.removeprefix("fallback_") for reason in get_args(FallbackReason)),
    }
    for outcome in get_args(Outcome):
        metrics.record(entry(designator="p/d", designator_outcome=outcome))
        assert value(metrics, "designator_requests_total", router="smart", designator="p/d", outcome=outcome) == 1


def test_a_new_generation_brings_new_labels_and_keeps_the_counts(metrics: Metrics) -> None:
    metrics.record(entry())
    metrics.bind(snapshot(router="clever"))
    metrics.record(entry(router="clever"))
    metrics.record(entry(router="smart"))
    counts = {
        router: value(metrics, "requests_total", router=router, candidate="p/m", decision="session", status="200")
        for router in ("smart", "clever", "other")
    }
    assert counts == {"smart": 1, "clever": 1, "other": 1}


def test_reloads(metrics: Metrics) -> None:
    metrics.applied(snapshot("rev1", "c1"), now=100.0)
    metrics.refused()
    assert value(metrics, "config_last_reload_successful") == 0
    assert value(metrics, "config_info", revision="rev1", commit="c1") == 1
    metrics.applied(snapshot("rev2", None), now=200.0)
    assert value(metrics, "config_last_reload_successful") == 1
    assert value(metrics, "config_last_reload_success_timestamp_seconds") == 200
    assert value(metrics, "config_info", revision="rev1", commit="c1") is None
    assert value(metrics, "config_info", revision="rev2", commit="") == 1
    assert value(metrics, "config_reloads_total", outcome="applied") == 2
    assert value(metrics, "config_reloads_total", outcome="refused") == 1


def test_gauges(metrics: Metrics) -> None:
    metrics.inflight.inc()
    metrics.inflight.inc()
    metrics.inflight.dec()
    metrics.sessions.set(12)
    assert (value(metrics, "inflight_requests"), value(metrics, "sessions")) == (1, 12)


def test_exemplars_name_a_request(metrics: Metrics) -> None:
    metrics.record(FULL)
    families = parse_openmetrics(metrics.render("application/openmetrics-text")[1].decode())  # type: ignore[no-untyped-call]
    exemplars = {
        family.name: sample.exemplar.labels
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    }
    timed = ("request_duration_seconds", "time_to_first_token_seconds", "designator_duration_seconds")
    assert exemplars == {f"llm_relay_{name}": {"request_id": "r"} for name in timed}


PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/html,*/*;q=0.8", PLAIN),
        ("text/plain; version=x.y", PLAIN),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3", OPENMETRICS),
        ("text/plain, Application/OpenMetrics-Text; version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text; version=x.y", OPENMETRICS),
        ("application/openmetrics-text; version=9.9\r\nX-Injected: 1", OPENMETRICS),
        ("application/openmetrics-text; version=\u0661.0", OPENMETRICS),
    ],
)
def test_the_accept_header_chooses_the_format_and_nothing_else(metrics: Metrics, accept: str, expected: str) -> None:
    metrics.record(entry())
    content_type, page = metrics.render(accept)
    assert content_type == expected
    read = parse_openmetrics if expected == OPENMETRICS else parse
    assert "llm_relay_requests" in {family.name for family in read(page.decode())}


# --- several workers ------------------------------------------------------------------------------------------------

_WORKER = """
    import sys
    from prometheus_client import CollectorRegistry
    from gateway.config.model import Model, Provider, Snapshot
    from gateway.ledger import Entry
    from gateway.metrics import Metrics

    provider = Provider(name="p", wire="openai", base_url="http://p")
    models = {"p/m": Model(id="p/m", name="m", provider=provider)}
    metrics = Metrics(CollectorRegistry())
    for number, line in enumerate(sys.stdin):
        match line.split():
            case ["apply", revision]:
                metrics.applied(
                    Snapshot(revision=revision, routers={}, models=models, providers={"p": provider}), now=number
                )
            case ["refuse"]:
                metrics.refused()
            case ["work"]:
                metrics.inflight.inc()
                metrics.record(
                    Entry(
                        time=0.0,
                        request_id="r",
                        dialect="openai",
                        candidate="p/m",
                        status=200,
                        tags=("mine",),
                        input=5,
                        cost=0.25,
                        ttft_ms=3.0,
                        total_ms=3.0,
                    )
                )
            case ["page"]:
                print(metrics.render("")[1].decode(), end="")
        print("done", flush=True)
"""


class Worker:
    """A worker process that does as it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def tell(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = ""
        while (got := self.process.stdout.readline()) != "done\n":
            assert got, "the worker died"
            answer += got
        return answer


def test_one_worker_answers_for_all_and_the_dead_leave_no_gauges(run_python: RunPython, tmp_path: Path) -> None:
    one, two = (Worker(run_python(_WORKER, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))) for _ in range(2))
    for worker in (one, two):
        worker.tell("apply rev1")
        worker.tell("work")
    one.tell("apply rev2")
    two.tell("refuse")
    page = one.tell("page")
    assert value(page, "requests_total", router="direct", candidate="p/m", decision="direct", status="200") == 2
    assert value(page, "inflight_requests") == 2
    assert value(page, "config_last_reload_successful") == 0
    assert {value(page, "config_info", revision=revision, commit="") for revision in ("rev1", "rev2")} == {1}
    assert "pid=" not in page

    two.process.kill()
    two.process.wait()
    page = one.tell("page")
    assert value(page, "requests_total", router="direct", candidate="p/m", decision="direct", status="200") == 2
    assert value(page, "candidate_tokens_total", router="direct", candidate="p/m", direction="input") == 10
    assert value(page, "cost_usd_total", router="direct", model="p/m", role="candidate") == 0.5
    assert value(page, "tag_tokens_total", tag="other", role="candidate", direction="input") == 10
    assert value(page, "time_to_first_token_seconds_count", router="direct", candidate="p/m") == 2
    assert value(page, "config_reloads_total", outcome="applied") == 3
    assert value(page, "inflight_requests") == 1
    assert value(page, "config_last_reload_successful") == 1
    assert value(page, "config_info", revision="rev2", commit="") == 1
    assert value(page, "config_info", revision="rev1", commit="") is None


def test_tokens_and_costs_reach_the_files_a_moment_later() -> None:
    """Once for all requests of that moment, and what waits at the end is not lost."""
    jobs: list[Callable[[], None]] = []
    registry = CollectorRegistry()
    metrics = Metrics(registry, folder=Path(), later=jobs.append)
    metrics.bind(snapshot())

    def tokens() -> float | None:
        labels = {"router": "smart", "candidate": "p/m", "direction": "input"}
        return registry.get_sample_value("llm_relay_candidate_tokens_total", labels)

    for _ in range(3):
        metrics.record(FULL)
    assert tokens() is None
    (job,) = jobs
    job()
    assert tokens() == 3000
    metrics.record(FULL)
    assert (tokens(), len(jobs)) == (3000, 2)
    metrics.settle()
    assert tokens() == 4000
