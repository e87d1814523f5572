"""What is legal but unwise in a router: advice, never a refusal.

Every lint is a code of its own (:mod:`gateway.config.codes`), and a comment in the file can silence it
(:mod:`gateway.config.silence`). What is *unknown* of a model is never held against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.config.model import Candidate, Capability, Model, Router
from gateway.config.problems import Place, Problem, show

#: Two purposes that share this part of their words are nearly one.
_OVERLAP = 0.6
#: A fallback is much smaller where it holds less than this part of what another candidate holds.
_MUCH_SMALLER = 0.5
#: USD per million tokens, three of the prompt for one of the answer: above this a decision is not cheap any more.
_DEAR = 3.0
#: Seconds that a client may wait for a decision.
_LONG = 10.0

_words = re.compile(r"\w+").findall
_COMMON_WORDS = """
a all also an and any are as at be best better by can do etc every for fast from general good great in into is it its
kind kinds like model more most of on one or other others our simple so strong such suited that the their them these
this to use used very well with work
"""
_COMMON = frozenset(_COMMON_WORDS.split())

#: Orders to the designator in place of a description.
_ORDER = re.compile(
    r"\balways (?:choose|pick|select|use|prefer|take|route|answer)\b"
    r"|\b(?:choose|pick|select|prefer|use|take) (?:this|me|it)\b.{0,40}\b(?:always|every time|whatever|everything)\b"
    r"|\b(?:ignore|disregard|forget|(?:never|do not|don't) (?:choose|pick|select|use|take))\b.{0,30}"
    r"\b(?:others?|rest|candidates?|models?|instructions?|rules?|prompts?)\b"
    r"|\b(?:regardless|no matter) (?:of|what)\b",
    re.IGNORECASE | re.DOTALL,
)

# Names of models that reason before every answer and cannot be told not to. Sources: OpenAI's reasoning guide (the
# o-series' lowest effort still reasons; gpt-oss knows low, medium and high), Google's thinking guide (Pro models cannot
# turn it off), and the model cards of DeepSeek R1, QwQ and Perplexity's reasoning models.
_ALWAYS_REASONS = re.compile(
    r"(?:^|/)(?:o[134](?:-|$)|gpt-oss|gemini-.*-pro|deepseek-r|qwq|magistral|sonar-reasoning)|-(?:thinking|reasoner)\b"
)


def lint(router: Router, place: Place) -> Iterator[Problem]:
    """Advice on a router that is valid; ``place`` is its document."""
    candidates = place / "candidates"
    yield from _purposes(router, candidates)
    yield from _abilities(router, candidates)
    yield from _facts(router, candidates)
    yield from _fallback(router, place)
    yield from _designator(router, place / "designator")
    yield from _tests(router, candidates)


def _purposes(router: Router, place: Place) -> Iterator[Problem]:
    seen: list[tuple[frozenset[str], str]] = []
    for index, candidate in enumerate(router.candidates):
        here, purpose = place / index / "purpose", candidate.purpose
        words = frozenset(_words(purpose.casefold())) - _COMMON
        for other, (theirs, text) in enumerate(seen):
            # The very same purpose is W409.
            if words and text != purpose.casefold() and len(words & theirs) >= _OVERLAP * len(words | theirs):
                message = f"nearly the same purpose as candidates[{other}]"
                yield here.problem("W410", message, "say what distinguishes the two")
                break
        seen.append((words, purpose.casefold()))
        if order := _ORDER.search(purpose):
            yield here.problem("W419", f"{show(order[0])} is an order to the designator", "say what it is best for")


def _abilities(router: Router, place: Place) -> Iterator[Problem]:
    known = [candidate.model.capabilities for candidate in router.candidates]
    lints: tuple[tuple[Capability, str, str], ...] = (
        ("vision", "W412", "no candidate can read images"),
        ("tools", "W413", "no candidate can call tools"),
    )
    for capability, code, message in lints:
        if all(capabilities is not None and capability not in capabilities for capabilities in known):
            yield place.problem(code, message, "requests that need it are refused; add one that can", at_key=True)


def _facts(router: Router, place: Place) -> Iterator[Problem]:
    for index, candidate in enumerate(router.candidates):
        model, here = candidate.model, place / index / "model"
        if model.provider.sandbox:
            continue
        remedy = f"declare it under models in the gateway document: {model.id}"
        if model.price is None or model.price.input is None or model.price.output is None:
            yield here.problem("W417", "its price is unknown", remedy)
        if model.context is None:
            yield here.problem("W418", "its context window is unknown", remedy)


def _fallback(router: Router, place: Place) -> Iterator[Problem]:
    own = router.fallback.model.context
    largest = max(router.candidates, key=_context)
    if own is None or own >= _MUCH_SMALLER * _context(largest):
        return
    here = place / "fallback"
    if here.steps not in here.marks.values:
        here = place / "candidates" / 0 / "model"
    message = f"the fallback holds {own:,} tokens, {largest.id} {_context(largest):,}"
    yield here.problem("W411", message, "choose a fallback that holds the requests that the others hold")


def _context(candidate: Candidate) -> int:
    return candidate.model.context or 0


def _designator(router: Router, place: Place) -> Iterator[Problem]:
    model, timeout = router.designator.model, router.designator.timeout
    if _ALWAYS_REASONS.search(model.name.lower()):
        message = f"{show(model.id)} reasons before every answer, also if it is only a name"
        yield (place / "model").problem("W414", message, "choose a small model that answers at once")
    blend = _blend(model)
    if blend is not None and blend >= _DEAR:
        message = f"{show(model.id)} costs ${blend:.2f} per million tokens, and reads every request"
        yield (place / "model").problem("W415", message, "choose a small model")
    if timeout > _LONG:
        message = f"every client may wait {timeout:g} s before its request is even sent"
        yield (place / "timeout").problem("W421", message, f"at most {_LONG:g}s; the fallback answers then")


def _blend(model: Model) -> float | None:
    price = model.price
    if price is None or price.input is None or price.output is None:
        return None
    return (3 * price.input + price.output) / 4


def _tests(router: Router, place: Place) -> Iterator[Problem]:
    if not router.tests or len(router.candidates) == 1:
        return
    expected = {id for test in router.tests for request in test.requests for id in request.expect}
    for index, candidate in enumerate(router.candidates):
        if candidate.id not in expected:
            yield (place / index / "model").problem("W420", "no test expects this candidate", "add a test for it")
