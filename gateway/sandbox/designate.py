"""The sandbox as a designator: word overlap between the latest ask and the candidates' purposes.

Words are compared in lower case, without endings and up to six letters ("coding" and "code" are both "cod"); common
words do not count. A few words of an ask also stand for their topic (:data:`_TOPICS`): "hi" for greetings and small
talk, "Python" for code. A candidate's score is the number of different words that its purpose shares with the ask; the
first of the best wins. It works offline and can be foreseen, which is all that is asked of it.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

_words = re.compile(r"\w+").findall
#: A candidate in a designator's system prompt: ``- slug: purpose; cost: …``.
_candidates = re.compile(r"^- (\S+): (.*?); cost: ", re.MULTILINE).findall

_COMMON_WORDS = """
a about all an and any are as at be best by can do does for from good great how i in is it its me model my no not of on
or our so that the these this to use used very was we what when where which who why will with you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


class _Brief(msgspec.Struct):
    """What must be in a designator's user prompt."""

    eligible: list[str]
    ask: str


_decode = msgspec.json.Decoder(_Brief).decode


def designate(system: str, user: str) -> str | None:
    """The slug that a designator would answer with; None where these are not the two messages of its prompt."""
    try:
        brief = _decode(user)
    except msgspec.MsgspecError:
        return None
    purposes = _purposes(system)
    if not brief.eligible or not purposes.keys() >= set(brief.eligible):
        return None
    asked: set[str] = set()
    for word in _words(brief.ask.lower()):
        asked |= _meanings(word)
    return max(brief.eligible, key=lambda slug: len(asked & purposes[slug]))


@lru_cache(maxsize=64)
def _purposes(system: str) -> dict[str, frozenset[str]]:
    """Each candidate's words; a system prompt is the same for a whole generation."""
    return {
        slug: frozenset(_stem(word) for word in _words(purpose.lower()) if word not in _COMMON)
        for slug, purpose in _candidates(system)
    }


@lru_cache(maxsize=4096)
def _meanings(word: str) -> frozenset[str]:
    """The stems that a word of an ask stands for: its own, and those of its topics."""
    own = frozenset() if word in _COMMON else frozenset({_stem(word)})
    return own.union(*(topic for words, topic in _TOPICS if _stem(word) in words))


def _stem(word: str) -> str:
    for ending, instead in (("ies", "i"), ("s", ""), ("y", "i")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            word = word.removesuffix(ending) + instead
            break
    for ending in ("ing", "ion", "er", "ed", "e"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            word = word.removesuffix(ending)
            break
    return word[:6]


def _stems(words: str) -> frozenset[str]:
    return frozenset(map(_stem, words.split()))


_TOPICS = (
    (
        _stems("api bash bug class compile css debug docker function html java javascript json python query refactor")
        | _stems("regex rust script sql test traceback typescript yaml"),
        _stems("code coding programming software"),
    ),
    (
        _stems("bye evening goodbye hello hey hi morning thanks thank"),
        _stems("chat conversation greeting quick short simple small talk"),
    ),
    (_stems("calculate equation integral percent solve sum"), _stems("arithmetic math mathematics reasoning")),
    (_stems("blog email essay letter poem slogan story tweet"), _stems("creative prose text writing")),
)
