"""Prometheus metrics: what is exposed, and the account of one finished request.

Every label's value comes from the configuration or from a list in this code; anything else is shown as ``other``, so
that no client and no provider can make a time series. A model that was asked for directly has the router ``direct``.

Tokens are counted by ``direction``: ``input`` and ``output`` are the whole, ``cache_read`` and ``cache_write`` are
parts of the input, ``reasoning`` is a part of the output. What is not known is not counted, neither tokens nor cost.

With several workers every process writes its values to files (``PROMETHEUS_MULTIPROC_DIR``, which must be set, to an
empty folder, before this module is imported) and any worker answers for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, disable_created_metrics

from gateway.config.model import Router, Snapshot
from gateway.errors import UpstreamError
from gateway.exposition import page
from gateway.ledger import Entry, Outcome
from gateway.routing.decide import FallbackReason, Reason
from gateway.series import Families
from gateway.tally import Later, Tally

OTHER = "other"
#: A bucket shows one exemplar, its latest: under load every request need not be one, but every slow one is.
EXEMPLAR_EVERY = 0.1
EXEMPLAR_SLOW_MS = 1000.0
DIRECT = "direct"

#: Seconds. A whole answer: from an error at once to the end of the longest allowed stream.
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
#: Seconds. From the request's arrival to the first byte of the answer.
TTFT_BUCKETS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
#: Seconds. The gateway's own work.
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
#: Seconds. Designators answer one name, under a deadline of a second or two.
DESIGNATOR_BUCKETS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


def _codes(error: type[UpstreamError]) -> Iterator[str]:
    yield error.code
    for kind in error.__subclasses__():
        yield from _codes(kind)


_DECISIONS = frozenset(literal for kind in get_args(Reason) for literal in get_args(kind) or (kind,))
_OUTCOMES = frozenset(get_args(Outcome))
_UPSTREAM_CODES = frozenset(_codes(UpstreamError))


class Metrics:
    """The collectors, registered with ``registry``. One per process.

    ``folder`` is the folder of the multi-process files, None for a process that answers for itself alone. Others look
    at those, so tokens and costs are written to them ``later``, which may be at once.
    """

    def __init__(
        self, registry: CollectorRegistry, *, folder: Path | None = None, later: Later = lambda job: job()
    ) -> None:
        # A timestamp beside every series says little that a scraper does not know, and doubles the page.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        if folder is None and "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        self._registry = registry
        self._folder = folder
        if folder is None:
            ProcessCollector(registry=registry)

        # The files of several workers have no room for exemplars.
        self._exemplars = folder is None
        self._exemplar_due = 0.0

        families = Families(registry)
        counter, histogram = families.counter, families.histogram
        self._tally = Tally(families, later=later if folder is not None else None)
        self._requests = counter("requests_total", "Requests answered.", "router", "candidate", "decision", "status")
        self._duration = histogram(
            "request_duration_seconds",
            "From a request's arrival to the end of its answer.",
            DURATION_BUCKETS,
            "router",
        )
        self._ttft = histogram(
            "time_to_first_token_seconds",
            "From a request's arrival to the first content of its answer.",
            TTFT_BUCKETS,
            *("router", "candidate"),
        )
        self._overhead = Histogram(
            "llm_relay_relay_overhead_seconds",
            "Spent in the gateway itself until the first content.",
            buckets=OVERHEAD_BUCKETS,
            registry=registry,
        )
        self._designations = counter(
            "designator_requests_total", "Decisions asked of a designator.", "router", "designator", "outcome"
        )
        self._designating = histogram(
            "designator_duration_seconds",
            "From asking a designator to its answer or deadline.",
            DESIGNATOR_BUCKETS,
            *("router", "designator"),
        )
        self._upstream_errors = counter(
            "upstream_errors_total", "Failures of providers, as seen by the gateway.", "provider", "code"
        )
        self._reloads = counter("config_reloads_total", "Reloads of the configuration.", "outcome")
        for outcome in ("applied", "refused"):
            self._reloads.begin(outcome)
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
        self._age = Gauge(
            "llm_relay_intelligence_age_seconds",
            "The age of a candidate's assessment, as of the latest look at it; also of one that has expired.",
            ("router", "candidate"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._aged: frozenset[tuple[str, str]] = frozenset()
        self._shown: tuple[str, str] | None = None
        self._router_names: frozenset[str] = frozenset()
        self._model_ids: frozenset[str] = frozenset()
        self._provider_names: frozenset[str] = frozenset()
        self._tags: frozenset[str] = frozenset()

    # --- generations ------------------------------------------------------------------------------------------------

    def bind(self, snapshot: Snapshot) -> None:
        """From now on labels come from this generation; what was counted stays."""
        self._router_names = frozenset(snapshot.routers)
        self._model_ids = frozenset(snapshot.models)
        self._provider_names = frozenset(snapshot.providers)
        routers, clients = snapshot.routers.values(), snapshot.clients
        declared = (*(router.tags for router in routers), *(client.tags for client in clients))
        self._tags = frozenset(tag for tags in declared for tag in tags)
        for router in routers:
            self._begin(router)

    def _begin(self, router: Router) -> None:
        """Counters of what should not happen, and is watched."""
        models = [router.designator.model, *(candidate.model for candidate in router.candidates)]
        for provider in {model.provider.name for model in models}:
            for code in _UPSTREAM_CODES:
                self._upstream_errors.begin(provider, code)
        if len(router.candidates) > 1:
            for outcome in _OUTCOMES:
                self._designations.begin(router.name, router.designator.model.id, outcome)
            for reason in get_args(FallbackReason):
                self._requests.begin(router.name, router.fallback.id, reason, "200")

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
        self._reloads["applied",].inc()

    def assessed(self, made: Mapping[tuple[str, str], float], *, now: float) -> None:
        """The assessments that there are: by router and candidate, when each was made (seconds since 1970)."""
        for gone in self._aged - made.keys():
            if self._folder is None:
                self._age.remove(*gone)
            else:
                self._age.labels(*gone).set(0)
        for key, since in made.items():
            self._age.labels(*key).set(max(now - since, 0.0))
        self._aged = frozenset(made)

    def refused(self) -> None:
        """A reload found problems: the previous generation serves on."""
        self._successful.set(0)
        self._reloads["refused",].inc()

    # --- requests ---------------------------------------------------------------------------------------------------

    def record(self, entry: Entry) -> None:
        """Accounts for one finished request."""
        candidate = entry.candidate
        if entry.router is None:
            router = OTHER if candidate is None else DIRECT
        else:
            router = entry.router if entry.router in self._router_names else OTHER
        if candidate is None or candidate not in self._model_ids:
            candidate = OTHER
        decision = entry.decision
        if decision is None or decision not in _DECISIONS:
            decision = DIRECT if router == DIRECT else OTHER
        status = str(entry.status) if 100 <= entry.status <= 599 else OTHER
        self._requests[router, candidate, decision, status].inc()
        exemplar = None
        if self._exemplars and (entry.time >= self._exemplar_due or (entry.total_ms or 0) >= EXEMPLAR_SLOW_MS):
            exemplar = {"request_id": entry.request_id}
            self._exemplar_due = entry.time + EXEMPLAR_EVERY
        if entry.total_ms is not None:
            self._duration[router,].observe(entry.total_ms / 1000, exemplar)
        if entry.ttft_ms is not None:
            self._ttft[router, candidate].observe(entry.ttft_ms / 1000, exemplar)
        if entry.relay_ms is not None:
            self._overhead.observe(entry.relay_ms / 1000)
        designator = ""
        if entry.designator is not None:
            designator = entry.designator if entry.designator in self._model_ids else OTHER
            self._count_designation(router, designator, entry, exemplar)
        tags = tuple(dict.fromkeys([tag if tag in self._tags else OTHER for tag in entry.tags])) if entry.tags else ()
        self._tally.add(router, candidate, designator, tags, entry)

    def upstream_error(self, provider: str, code: str) -> None:
        """Counts a provider's failure, also one that another candidate made good."""
        self._upstream_errors[
            provider if provider in self._provider_names else OTHER,
            code if code in _UPSTREAM_CODES else OTHER,
        ].inc()

    def _count_designation(self, router: str, designator: str, entry: Entry, exemplar: dict[str, str] | None) -> None:
        outcome = entry.designator_outcome
        self._designations[router, designator, OTHER if outcome is None or outcome not in _OUTCOMES else outcome].inc()
        if entry.designator_ms is not None:
            self._designating[router, designator].observe(entry.designator_ms / 1000, exemplar)

    # --- exposition -------------------------------------------------------------------------------------------------

    def render(self, accept: str) -> tuple[str, bytes]:
        """Content type and page for a client that sends this ``Accept`` header."""
        self.settle()
        return page(self._registry, self._folder, accept)

    def settle(self) -> None:
        """Counts what waits to be counted; needed at the end, where others go on looking at the files."""
        self._tally.settle()
