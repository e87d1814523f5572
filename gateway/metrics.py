"""Prometheus metrics: what is exposed, and the account of one finished request.

Every label's value comes from the configuration or from a list in this code; anything else is shown as ``other``, so
that no client and no provider can make a time series. A model that was asked for directly has the router ``direct``.

With several workers every process writes its values to files (``PROMETHEUS_MULTIPROC_DIR``, which must be set, to an
empty folder, before this module is imported) and any worker answers for all of them; see
https://prometheus.github.io/client_python/multiprocess/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from gateway.config.model import Snapshot
from gateway.errors import UpstreamError
from gateway.ledger import Entry, Outcome
from gateway.routing.decide import Reason

OTHER = "other"
DIRECT = "direct"

#: Seconds. A whole answer: from an error at once to the end of the longest allowed stream.
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
#: Seconds. From the request's arrival to the first byte of the answer.
TTFT_BUCKETS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
#: Seconds. The gateway's own work.
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
#: Seconds. Designators answer one name, under a deadline of a second or two.
DESIGNATOR_BUCKETS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

_OPENMETRICS = "application/openmetrics-text"
_LIVE_FILE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")


def _codes(error: type[UpstreamError]) -> Iterator[str]:
    yield error.code
    for kind in error.__subclasses__():
        yield from _codes(kind)


_DECISIONS = frozenset(literal for kind in get_args(Reason) for literal in get_args(kind) or (kind,))
_OUTCOMES = frozenset(get_args(Outcome))
_UPSTREAM_CODES = frozenset(_codes(UpstreamError))
#: A provider that claims more tokens than a float counts exactly is not believed.
_MOST_TOKENS = 1 << 53


class Metrics:
    """The collectors, registered with ``registry``. One per process.

    ``folder`` is the folder of the multi-process files, None for a process that answers for itself alone.
    """

    def __init__(self, registry: CollectorRegistry, *, folder: Path | None = None) -> None:
        # A timestamp beside every series says little that a scraper does not know, and doubles the page.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        if folder is None and "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        self._registry = registry
        self._folder = folder
        if folder is None:
            ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"llm_relay_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"llm_relay_{name}", text, buckets=buckets, registry=registry)

        self._requests = counter("requests_total", "Requests answered.", "router", "candidate", "decision", "status")
        self._duration = histogram(
            "request_duration_seconds", "From a request's arrival to the end of its answer.", DURATION_BUCKETS
        )
        self._ttft = histogram(
            "time_to_first_token_seconds", "From a request's arrival to the first content of its answer.", TTFT_BUCKETS
        )
        self._overhead = histogram(
            "relay_overhead_seconds", "Spent in the gateway itself until the first content.", OVERHEAD_BUCKETS
        )
        self._designations = counter(
            "designator_requests_total", "Decisions asked of a designator.", "router", "designator", "outcome"
        )
        self._designating = histogram(
            "designator_duration_seconds", "From asking a designator to its answer or deadline.", DESIGNATOR_BUCKETS
        )
        self._designator_tokens = counter(
            "designator_tokens_total", "Tokens used by designators.", "router", "designator", "direction"
        )
        self._candidate_tokens = counter(
            "candidate_tokens_total", "Tokens used by candidates.", "router", "candidate", "direction"
        )
        self._upstream_errors = counter(
            "upstream_errors_total", "Failures of providers, as seen by the gateway.", "provider", "code"
        )
        self._reloads = counter("config_reloads_total", "Reloads of the configuration.", "outcome")
        #: Requests in flight: ``inc()`` and ``dec()``.
        self.inflight = Gauge(
            "llm_relay_inflight_requests", "Requests in flight.", registry=registry, multiprocess_mode="livesum"
        )
        #: To be ``set()`` before rendering. Workers share sessions: the one that holds most comes closest.
        self.sessions = Gauge(
            "llm_relay_sessions", "Sessions remembered.", registry=registry, multiprocess_mode="livemax"
        )
        self._successful = Gauge(
            "llm_relay_config_last_reload_successful",
            "Whether the configuration as it is on disk is being served.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._success_time = Gauge(
            "llm_relay_config_last_reload_success_timestamp_seconds",
            "When the configuration was last applied.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._info = Gauge(
            "llm_relay_config_info",
            "The generation that is being served; two while workers change over.",
            ("revision", "commit"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._shown: tuple[str, str] | None = None
        self._bind(frozenset(), frozenset(), frozenset(), frozenset())

    # --- generations ------------------------------------------------------------------------------------------------

    def bind(self, snapshot: Snapshot) -> None:
        """From now on labels come from this generation."""
        self._bind(
            frozenset(snapshot.routers),
            frozenset(snapshot.models),
            frozenset(router.designator.model.id for router in snapshot.routers.values()),
            frozenset(snapshot.providers),
        )

    def applied(self, snapshot: Snapshot, *, now: float) -> None:
        """A reload went well: binds ``snapshot``, which serves since ``now`` (seconds since 1970)."""
        self.bind(snapshot)
        shown = (snapshot.revision, snapshot.commit or "")
        if self._shown is not None and self._shown != shown:
            if self._folder is None:
                self._info.remove(*self._shown)
            else:
                # Nothing can be removed from the files; the page leaves out what is zero.
                self._info.labels(*self._shown).set(0)
        self._info.labels(*shown).set(1)
        self._shown = shown
        self._successful.set(1)
        self._success_time.set(now)
        self._reloads.labels("applied").inc()

    def refused(self) -> None:
        """A reload found problems: the previous generation serves on."""
        self._successful.set(0)
        self._reloads.labels("refused").inc()

    def _bind(
        self,
        routers: frozenset[str],
        candidates: frozenset[str],
        designators: frozenset[str],
        providers: frozenset[str],
    ) -> None:
        self._router_names = routers
        self._candidate_ids = candidates
        self._designator_ids = designators
        self._provider_names = providers
        # Looking a child up by its labels takes longer than counting: each is looked up once a generation.
        self._request_children: dict[tuple[str, str, str, int], Counter] = {}
        self._candidate_children: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self._designator_children: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self._outcome_children: dict[tuple[str, str, str], Counter] = {}

    # --- requests ---------------------------------------------------------------------------------------------------

    def record(self, entry: Entry) -> None:
        """Accounts for one finished request."""
        candidate = entry.candidate
        if entry.router is None:
            router = OTHER if candidate is None else DIRECT
        else:
            router = entry.router if entry.router in self._router_names else OTHER
        if candidate is None or candidate not in self._candidate_ids:
            candidate = OTHER
        self._count_request(router, candidate, entry.decision, entry.status)
        if entry.total_ms is not None:
            self._duration.observe(entry.total_ms / 1000)
        if entry.ttft_ms is not None:
            self._ttft.observe(entry.ttft_ms / 1000)
        if entry.relay_ms is not None:
            self._overhead.observe(entry.relay_ms / 1000)
        if entry.input is not None or entry.output is not None:
            children = self._candidate_children.get((router, candidate))
            if children is None:
                children = _directions(self._candidate_tokens, router, candidate)
                self._candidate_children[router, candidate] = children
            _count_tokens(children, entry.input, entry.output)
        if entry.designator is not None:
            self._count_designation(router, entry.designator, entry)

    def upstream_error(self, provider: str, code: str) -> None:
        """Counts a provider's failure, also one that another candidate made good."""
        self._upstream_errors.labels(
            provider if provider in self._provider_names else OTHER,
            code if code in _UPSTREAM_CODES else OTHER,
        ).inc()

    def _count_request(self, router: str, candidate: str, decision: str | None, status: int) -> None:
        if decision is None or decision not in _DECISIONS:
            decision = DIRECT if router == DIRECT else OTHER
        key = (router, candidate, decision, status if 100 <= status <= 599 else 0)
        child = self._request_children.get(key)
        if child is None:
            child = self._request_children[key] = self._requests.labels(*key[:3], str(key[3]) if key[3] else OTHER)
        child.inc()

    def _count_designation(self, router: str, designator: str, entry: Entry) -> None:
        if designator not in self._designator_ids:
            designator = OTHER
        outcome = entry.designator_outcome
        key = (router, designator, OTHER if outcome is None or outcome not in _OUTCOMES else outcome)
        child = self._outcome_children.get(key)
        if child is None:
            child = self._outcome_children[key] = self._designations.labels(*key)
        child.inc()
        if entry.designator_ms is not None:
            self._designating.observe(entry.designator_ms / 1000)
        if entry.designator_input is not None or entry.designator_output is not None:
            children = self._designator_children.get((router, designator))
            if children is None:
                children = _directions(self._designator_tokens, router, designator)
                self._designator_children[router, designator] = children
            _count_tokens(children, entry.designator_input, entry.designator_output)

    # --- exposition -------------------------------------------------------------------------------------------------

    def render(self, accept: str) -> tuple[str, bytes]:
        """Content type and page, in OpenMetrics' text format where the ``Accept`` header names it."""
        openmetrics = any(part.partition(";")[0].strip().lower() == _OPENMETRICS for part in accept.split(","))
        # Never the client's own words: the library puts their version into the response's header and trips over some.
        encode, content_type = choose_encoder(f"{_OPENMETRICS}; version=1.0.0" if openmetrics else "")
        if self._folder is None:
            return content_type, encode(self._registry)
        bury(self._folder)
        return content_type, encode(_AllWorkers(self._folder))


class _AllWorkers(Collector):
    """What all workers have written."""

    def __init__(self, folder: Path) -> None:
        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        for metric in self._files.collect():  # type: ignore[no-untyped-call]
            if metric.name == "llm_relay_config_info":
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


def bury(folder: Path) -> None:
    """Removes the gauges of workers that are no more; what they counted stays."""
    if os.name != "posix":
        # Elsewhere signal 0 is not a question but a signal.
        return
    for pid in {int(match[1]) for name in os.listdir(folder) if (match := _LIVE_FILE.fullmatch(name))}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            # Another worker may be at it too.
            with suppress(FileNotFoundError):
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue


def _directions(tokens: Counter, router: str, model: str) -> tuple[Counter, Counter]:
    return tokens.labels(router, model, "input"), tokens.labels(router, model, "output")


def _count_tokens(children: tuple[Counter, Counter], input_: int | None, output: int | None) -> None:
    if input_ is not None and 0 < input_ < _MOST_TOKENS:
        children[0].inc(input_)
    if output is not None and 0 < output < _MOST_TOKENS:
        children[1].inc(output)
