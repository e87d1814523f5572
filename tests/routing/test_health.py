from __future__ import annotations

import pytest

from gateway.errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from gateway.routing.health import FAILURES_TO_OPEN, Health


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


def test_a_provider_rests_for_as_long_as_it_asked(health: Health, clock: Clock) -> None:
    health.cool("openai", 7)
    assert health.cooling() == {"openai"}
    clock.now += 6.9
    assert health.cooling() == {"openai"}
    assert health.remaining("openai") == pytest.approx(0.1)
    clock.now += 0.1
    assert health.cooling() == set()
    assert health.remaining("openai") == 0
    assert health.remaining("groq") == 0


def test_a_pause_is_never_shortened(health: Health, clock: Clock) -> None:
    health.cool("openai", 60)
    health.cool("openai", 1)
    assert health.remaining("openai") == 60
    health.cool("openai", 70)
    assert health.remaining("openai") == 70


@pytest.mark.parametrize(
    ("seconds", "rests"),
    [(-1, 0), (0, 0), (float("nan"), 0), (1e9, 300), (float("inf"), 300), (float("-inf"), 0), (0.5, 0.5)],
)
def test_absurd_pauses_are_bounded(health: Health, seconds: float, rests: float) -> None:
    health.cool("openai", seconds)
    assert health.remaining("openai") == rests


@pytest.mark.parametrize(
    ("error", "rests"),
    [
        (UpstreamRateLimited("429", retry_after=7), 7),
        (UpstreamRateLimited("429", retry_after=300), 300),
        (UpstreamRateLimited("429"), 0),
        (UpstreamOverloaded("529", retry_after=3), 3),
        (UpstreamOverloaded("529"), 0),
        (UpstreamAuthFailed("401"), 0),
        (UpstreamFailed("500"), 0),
        (UpstreamTimeout("late"), 0),
    ],
)
def test_what_an_error_means_for_its_provider(health: Health, error: UpstreamError, rests: float) -> None:
    health.note("openai", error)
    assert health.remaining("openai") == rests


def test_a_designator_is_asked_until_it_failed_five_times_in_a_row(health: Health) -> None:
    for _ in range(FAILURES_TO_OPEN - 1):
        health.failed("gemini/flash")
    health.ok("gemini/flash")
    for _ in range(FAILURES_TO_OPEN - 1):
        assert health.allow("gemini/flash")
        health.failed("gemini/flash")
    assert health.allow("gemini/flash")
    health.failed("gemini/flash")
    assert not health.allow("gemini/flash")
    assert health.allow("groq/llama")


def opened(health: Health) -> None:
    for _ in range(FAILURES_TO_OPEN):
        health.failed("gemini/flash")


def test_an_open_breaker_lets_one_probe_through_every_ten_seconds(health: Health, clock: Clock) -> None:
    opened(health)
    for _ in range(3):
        clock.now += 9.9
        assert not health.allow("gemini/flash")
        clock.now += 0.1
        assert [health.allow("gemini/flash") for _ in range(100)] == [True] + [False] * 99
        health.failed("gemini/flash")


def test_a_probe_that_succeeds_closes_the_breaker(health: Health, clock: Clock) -> None:
    opened(health)
    clock.now += 10
    assert health.allow("gemini/flash")
    health.ok("gemini/flash")
    assert all(health.allow("gemini/flash") for _ in range(100))
    health.failed("gemini/flash")
    assert health.allow("gemini/flash")


def test_a_slow_probe_keeps_others_back_and_a_lost_one_is_given_up(health: Health, clock: Clock) -> None:
    opened(health)
    clock.now += 10
    assert health.allow("gemini/flash", timeout=30)
    clock.now += 29
    assert not health.allow("gemini/flash", timeout=30)
    clock.now += 1
    assert health.allow("gemini/flash", timeout=30)
