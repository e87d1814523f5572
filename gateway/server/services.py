"""What one worker process runs on: made once at start, handed to every handler."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry

from gateway.generation import Generation
from gateway.intelligence.assessment import Assessments
from gateway.intelligence.feed import Feed
from gateway.intelligence.lockfile import FOLDER
from gateway.ledger import Ledger
from gateway.logs import RequestLog
from gateway.metrics import Metrics
from gateway.relay import Relay
from gateway.reload import Holder, Reloader
from gateway.routing.health import Health
from gateway.samples import Samples
from gateway.sandbox import SandboxTransport
from gateway.server.exchange import Attendant
from gateway.server.exposure import objections
from gateway.server.settings import Settings
from gateway.sessions import RECHECK, Sessions, SqlitePins
from gateway.store import FILE, Store
from gateway.telemetry.wanted import CannotTrace, exporters
from gateway.tracing import Tracer
from gateway.upstream import Upstream

log = logging.getLogger("llm_relay")

#: Seconds after which several workers see one another's tokens and costs.
_SETTLING = 0.1


class Services:
    """Everything with a lifetime, in the order in which it starts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.attendant = Attendant()
        self.metrics = Metrics(CollectorRegistry(), later=_in_a_moment)
        self.feed = Feed(
            settings.config,
            settings.data,
            os.environ,
            current=lambda: self.holder.current,
            changed=lambda: self.reloader.reassess(),
            known=self._assessed,
        )
        self.reloader = Reloader(
            settings.config,
            os.environ,
            applied=self._apply,
            refused=self.metrics.refused,
            check=partial(objections, settings),
            assessments=self.feed.texts,
            prepare=self.feed.prepare,
            beside=FOLDER,
            moved=self.feed.wake_files,
            polling=settings.polling,
            kept=settings.runtime / "last-good" if settings.runtime is not None else None,
        )
        self.holder: Holder = self.reloader.load()
        self.store = Store(settings.data / FILE if settings.data is not None else None)
        capacity = self.holder.current.snapshot.limits.sessions
        # A worker that is alone knows of every move.
        recheck = math.inf if settings.workers == 1 else RECHECK
        self.sessions = Sessions(SqlitePins(self.store, capacity=capacity), capacity=capacity, recheck=recheck)
        self.ledger = Ledger(self.store, keep=self.holder.current.snapshot.limits.ledger)
        self.samples = Samples(self.store, self.holder.current.snapshot)
        self.requests = RequestLog(text=settings.log_format == "text")
        self.health = Health()
        self.upstream = Upstream(sandbox=SandboxTransport())
        self.relay = Relay(
            self.upstream,
            sessions=self.sessions,
            health=self.health,
            metrics=self.metrics,
            accounts=(self.metrics.record, self.ledger.add, self.requests.add),
            samples=self.samples,
        )
        self.tracer = _tracer()
        self.metrics.applied(self.holder.current.snapshot, now=self.holder.applied_at)
        if not self.holder.desired.ok:
            self.metrics.refused()
        self._providers = self.holder.current.snapshot.providers
        self._watching: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the state and begin to watch the configuration."""
        self._watching = asyncio.create_task(self.reloader.run())
        self._reading = asyncio.create_task(self.feed.run())

    async def stop(self) -> None:
        """Leave nothing behind: what was accounted is on disk, connections are closed."""
        await self.attendant.over()
        self.reloader.stop()
        if self._reading is not None:
            # A child that reads the store ends with it.
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._watching is not None:
            await self._watching
        await self.upstream.aclose()
        await self.store.aclose()
        self.metrics.settle()
        if self.tracer is not None:
            await self.tracer.aclose()
        self.requests.flush()

    def _apply(self, generation: Generation) -> None:
        snapshot = generation.snapshot
        self.feed.wake()
        self.metrics.applied(snapshot, now=self.holder.applied_at)
        self.sessions.resize(snapshot.limits.sessions)
        self.ledger.keep = snapshot.limits.ledger
        self.samples.follow(snapshot)
        serving, self._providers = self._providers, snapshot.providers
        self.upstream.forget(provider for name, provider in serving.items() if snapshot.providers.get(name) != provider)

    def _assessed(self, assessments: Assessments) -> None:
        self.metrics.assessed({key: each.generated for key, each in assessments.items()}, now=time.time())


def _tracer() -> Tracer | None:
    """Who records traces, where that is asked for and can be had."""
    try:
        wanted = exporters(os.environ)
        if not wanted:
            return None
        from gateway.telemetry.tracer import SDKTracer

        return SDKTracer(wanted)
    except CannotTrace:
        # The parent process has said so.
        return None
    except (ValueError, OSError) as error:
        log.error("no traces: %s", error)
        return None


def _in_a_moment(job: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(_SETTLING, job)
