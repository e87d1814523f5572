"""What designators answer: by whoever knows without asking them, or by asking them now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from gateway.chat import Text
from gateway.config.secrets import stands_in
from gateway.decider import designate
from gateway.errors import UpstreamError
from gateway.plan.moves import Answers, Question, digest
from gateway.rehearsal.recordings import Recordings, load
from gateway.routing.decide import Ask, Policy
from gateway.sandbox import designate as playing
from gateway.upstream import Upstream, conceal

#: Designators that are asked at the same time.
_AT_ONCE = 4
_VIA = (b"via", b"1.1 llm-relay")


def sandbox(policy: Policy, ask: Ask) -> str | None:
    """The sandbox's own answer, where it is the designator."""
    if not policy.router.designator.model.provider.sandbox:
        return None
    system, user = ask.prompt.messages
    return playing.designate(system.text, user.text)


def recorded(folders: Sequence[Path]) -> Answers:
    """The answers that are recorded in any of ``folders``. They raise RecordingsUnreadable."""
    known: dict[tuple[Path, str, str], Recordings] = {}

    def answer(policy: Policy, ask: Ask) -> str | None:
        for folder in folders:
            key = (folder, policy.router.name, f"{policy.digest} {policy.router.designator.model.id}")
            if key not in known:
                known[key] = load(folder, policy)
            if (text := known[key].answer(policy, ask)) is not None:
                return text
        return None

    return answer


def first(*sources: Answers) -> Answers:
    """The answer of the first of ``sources`` that knows it."""

    def answer(policy: Policy, ask: Ask) -> str | None:
        return next((text for source in sources if (text := source(policy, ask)) is not None), None)

    return answer


class Asked(msgspec.Struct, frozen=True):
    """What came of asking designators."""

    #: How many questions there were.
    questions: int
    #: Those that were not answered: such a question proves nothing, so that its requests stay unknown.
    failed: int
    #: Why one of them was not.
    failure: str | None


class KeyMissing(Exception):
    """A designator cannot be asked, because the key of its provider is not here."""


async def live(questions: Mapping[str, Question], dial: Callable[[], Upstream]) -> tuple[Answers, Asked]:
    """Put every question to its designator as the gateway does, with its own deadline.

    Raises KeyMissing, before anybody is asked.
    """
    for question in questions.values():
        provider = question.policy.router.designator.model.provider
        if provider.key is not None and stands_in(provider.key):
            reference = provider.key.reference
            raise KeyMissing(f"to ask the designator of {question.policy.router.name}: {reference} is not set")
    upstream, room = dial(), asyncio.Semaphore(_AT_ONCE)

    async def put(question: Question) -> tuple[str | None, str | None]:
        designator, prompt = question.policy.router.designator, question.ask.prompt
        try:
            async with room:
                answer = await designate(
                    upstream, question.generation, designator.model, prompt, designator.timeout, (_VIA,)
                )
        except UpstreamError as error:
            return None, conceal(designator.model.provider, error.message)
        return "".join(part.text for part in answer.parts if type(part) is Text), None

    try:
        said = await asyncio.gather(*map(put, questions.values()))
    finally:
        await upstream.aclose()
    texts = {key: text for key, (text, _) in zip(questions, said, strict=True) if text is not None}
    failures = [failure for text, failure in said if text is None]
    return lambda policy, ask: texts.get(digest(ask)), Asked(len(said), len(failures), next(iter(failures), None))
