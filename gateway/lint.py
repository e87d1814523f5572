"""All advice on a configuration: what its documents show, and what comes of them at the designator.

Advice is worth giving on a valid generation only. A generation of 1,000 routers takes about a tenth of a second.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator

import msgspec

from gateway.config import lint as config
from gateway.config import silence
from gateway.config.load import Loaded
from gateway.config.model import Model, Router
from gateway.config.problems import Place, Problem
from gateway.routing.designator import system_prompt
from gateway.routing.eligible import BYTES_PER_TOKEN

#: Tokens of instructions that a designator may read with every request without a remark.
LONG_PROMPT = 2_000


def _has_chroma() -> bool:
    return importlib.util.find_spec("chromadb") is not None


def lint(loaded: Loaded, *, has_chroma: Callable[[], bool] = _has_chroma) -> Loaded:
    """``loaded`` with all advice among its problems, but for what comments in its files silence.

    ``has_chroma`` tells whether the library of the assessments' store is installed.
    """
    problems = list(loaded.problems)
    if loaded.snapshot is not None:
        for name, router in loaded.snapshot.routers.items():
            place = loaded.places[name]
            problems += config.lint(router, place)
            problems += _prompt(router, place)
            problems += _store(router, place, has_chroma)
    return msgspec.structs.replace(loaded, problems=_heard(problems, loaded))


def _heard(problems: list[Problem], loaded: Loaded) -> tuple[Problem, ...]:
    complete = loaded.snapshot is not None
    heard = [problem for problem in problems if problem.file not in loaded.silences]
    for file, said in loaded.silences.items():
        here = [problem for problem in problems if problem.file == file]
        found = silence.apply(here, said.silences, complete=complete)
        heard += (msgspec.structs.replace(problem, file=file) for problem in (*found, *said.problems))
    return tuple(sorted(heard, key=lambda problem: problem.order))


def _prompt(router: Router, place: Place) -> Iterator[Problem]:
    tokens = len(system_prompt(router).encode()) // BYTES_PER_TOKEN
    if tokens <= LONG_PROMPT:
        return
    model = router.designator.model
    message = f"the designator reads about {tokens:,} tokens for every decision{_cost(model, tokens)}"
    here = place / "candidates"
    yield here.problem("W416", message, "shorten the purposes, or split the router", at_key=True)


def _store(router: Router, place: Place, has_chroma: Callable[[], bool]) -> Iterator[Problem]:
    if router.intelligence is not None and router.intelligence.source == "chroma" and not has_chroma():
        remedy = "pip install 'llm-relay[intelligence]', or read them from files: 'source: file'"
        message = "ChromaDB is not installed here, so that designators read no assessments"
        yield (place / "intelligence").problem("W424", message, remedy, at_key=True)


def _cost(model: Model, tokens: int) -> str:
    """What a thousand such prompts cost, where that is known."""
    if model.price is None or model.price.input is None:
        return ""
    return f", ${tokens * 1_000 * model.price.input / 1e6:.2f} per 1,000 decisions"
