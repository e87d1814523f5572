"""Who is not to be called now: providers that asked for a pause, and designators that keep failing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec

from gateway.errors import UpstreamError, UpstreamOverloaded, UpstreamRateLimited

#: Seconds: the longest pause, which is also what an exhausted quota gets.
LONGEST_PAUSE = 300.0
#: A designator that failed this many times in a row is not asked any more …
FAILURES_TO_OPEN = 5
#: … but for one probe in so many seconds.
PROBE_EVERY = 10.0

_NOBODY: frozenset[str] = frozenset()


class _Breaker(msgspec.Struct):
    failures: int = 0
    #: When the next probe may go out; meaningful once the breaker is open.
    probe_at: float = 0.0


class Health:
    """What one worker has learnt about providers (cool-downs) and designators (breakers).

    ``clock`` gives monotonic seconds. Nothing is stored about what works, so asking costs next to nothing then.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._breakers: dict[str, _Breaker] = {}

    # Providers.

    def note(self, provider: str, error: UpstreamError) -> None:
        """Let ``provider`` rest where ``error`` says for how long.

        Without a time nothing is known: the next request may well succeed, and one that fails is cheap to fail over.
        """
        if isinstance(error, UpstreamRateLimited | UpstreamOverloaded) and error.retry_after is not None:
            self.cool(provider, error.retry_after)

    def cool(self, provider: str, seconds: float) -> None:
        """No requests to ``provider`` for so long, at most five minutes; a longer pause under way stays."""
        if math.isnan(seconds) or seconds <= 0:
            return
        until = self._clock() + min(seconds, LONGEST_PAUSE)
        self._until[provider] = max(until, self._until.get(provider, until))

    def cooling(self) -> frozenset[str]:
        """The names of the providers that rest now."""
        if not self._until:
            return _NOBODY
        now = self._clock()
        self._until = {provider: until for provider, until in self._until.items() if until > now}
        return frozenset(self._until)

    def remaining(self, provider: str) -> float:
        """Seconds until ``provider`` may be called again; 0 where it may be now."""
        until = self._until.get(provider)
        return 0.0 if until is None else max(0.0, until - self._clock())

    # Designators, by model id.

    def allow(self, designator: str, timeout: float = 0.0) -> bool:
        """Whether to ask this designator now. Follow a True with :meth:`ok` or :meth:`failed` once that is known.

        While the breaker is open one probe goes out every ten seconds, and never a second one beside it: a probe may
        take up to ``timeout`` seconds, the designator's own deadline. One whose outcome is never told, since its
        client left, is given up after that time.
        """
        breaker = self._breakers.get(designator)
        if breaker is None or breaker.failures < FAILURES_TO_OPEN:
            return True
        now = self._clock()
        if now < breaker.probe_at:
            return False
        breaker.probe_at = now + max(PROBE_EVERY, timeout)
        return True

    def ok(self, designator: str) -> None:
        """It answered: the count of failures starts anew."""
        if self._breakers:
            self._breakers.pop(designator, None)

    def failed(self, designator: str) -> None:
        """It timed out or answered with an error."""
        breaker = self._breakers.setdefault(designator, _Breaker())
        breaker.failures += 1
        breaker.probe_at = self._clock() + PROBE_EVERY
