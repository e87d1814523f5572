"""What to search for, and which of the results speak of the model that was meant.

Models have longer cousins: a page on ``GPT-4o mini`` says nothing of ``gpt-4o``. So a result counts for a candidate
only where it names the candidate exactly, and a sentence that names none but a longer or shorter cousin is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from gateway.config.model import Candidate, Router
from gateway.intelligence.assessment import clean
from gateway.intelligence.search import Found

#: Other candidates that one is compared with, pages that are kept, and characters of what is kept of one.
MOST_RIVALS, MOST_SOURCES, EXCERPT = 6, 8, 1_500

#: Endings of names that tell how a model is served, or which build it is: nobody writes of them.
_SERVED = re.compile(r"(?:-(?:versatile|latest|instruct|it|chat|preview|exp|\d{8}|\d{4}-\d{2}-\d{2}|\d{4}|\d{3}))+$")
#: Words behind a name that make it another, longer one, whatever stands between.
_COUSIN_WORDS = """
air audio codex coder distill flash haiku instant large lite light maverick max medium micro mini nano opus plus pro
realtime scout small sonnet thinking tiny transcribe tts turbo ultra
"""
_COUSINS = frozenset(_COUSIN_WORDS.split())
_TOKEN = re.compile(r"[a-z0-9]+")
_SIZE = re.compile(r"\d+(?:x\d+)?b")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\s+[|•·]\s+")
_TRACKING = re.compile(r"^(?:utm_.*|fbclid|gclid|ref|ref_src)$")


class Name:
    """A model's name as people write it."""

    def __init__(self, model: str) -> None:
        #: For queries and prompts: without the way it is served.
        self.shown = _plain(model)
        tokens = _TOKEN.findall(self.shown)
        self._forms = [tokens]
        if len(tokens) > 2 and tokens[0] == "claude":
            # "Claude 4.5 Sonnet" and "Claude Sonnet 4.5" are both written.
            words = [token for token in tokens[1:] if not token.isdigit()]
            numbers = [token for token in tokens[1:] if token.isdigit()]
            self._forms = [["claude", *words, *numbers], ["claude", *numbers, *words]]

    def elsewhere(self, text: str) -> bool:
        """Whether ``text`` speaks of a cousin, and not of this model."""
        exact, longer = self.mentions(text)
        return not exact and (longer or self._names_shorter(text))

    def _names_shorter(self, text: str) -> bool:
        tokens = self._forms[0]
        while len(tokens) > 2 and tokens[-1] in _COUSINS:
            tokens = tokens[:-1]
            if _mentions([tokens], text)[0]:
                return True
        return False

    def mentions(self, text: str) -> tuple[bool, bool]:
        """Whether ``text`` names this model, and whether it names a longer cousin of it."""
        return _mentions(self._forms, text)


def queries(router: Router, candidate: Candidate, year: int) -> list[str]:
    """What to ask about one candidate. A comparison is the same text for both of its sides."""
    name = Name(candidate.model.name).shown
    asked = [f'"{name}" LLM review strengths weaknesses {year}', f'"{name}" LLM benchmarks limitations {year}']
    names = [Name(each.model.name).shown for each in router.candidates]
    rivals = [other for other in dict.fromkeys(names) if other != name][:MOST_RIVALS]
    for rival in rivals:
        first, second = sorted((name, rival), key=names.index)
        asked.append(f'"{first}" vs "{second}" comparison {year}')
    return asked


def choose(candidate: Candidate, results: Sequence[Sequence[Found]]) -> list[Found]:
    """Of the results of several queries the best pages that speak of ``candidate``, with what they say of it.

    A page is better the more queries found it, and the higher they ranked it.
    """
    name = Name(candidate.model.name)
    pages: dict[str, Found] = {}
    scores: dict[str, float] = {}
    for found in results:
        for rank, page in enumerate(found):
            key = _same(page.url)
            scores[key] = scores.get(key, 0.0) + 1 / (rank + 2)
            if len(page.text) > len(pages[key].text if key in pages else ""):
                pages[key] = page
    chosen: list[Found] = []
    for key in sorted(pages, key=lambda key: (-scores[key], key)):
        text = excerpt(name, pages[key])
        if text and len(chosen) < MOST_SOURCES:
            chosen.append(msgspec.structs.replace(pages[key], text=text))
    return chosen


def excerpt(name: Name, page: Found) -> str:
    """What ``page`` says of the model; empty where it speaks of others only."""
    if not any(name.mentions(text)[0] for text in (page.title, page.text)):
        return ""
    kept = [sentence for sentence in _SENTENCE.split(page.text) if not name.elsewhere(sentence)]
    # What names the model comes before what merely stands around it.
    kept.sort(key=lambda sentence: not name.mentions(sentence)[0])
    return clean(" ".join(kept), EXCERPT)


def _mentions(forms: list[list[str]], text: str) -> tuple[bool, bool]:
    low = text.lower()
    found = list(_TOKEN.finditer(low))
    tokens = [match[0] for match in found]
    exact = longer = False
    for form in forms:
        for start in range(len(tokens) - len(form) + 1):
            if tokens[start : start + len(form)] != form:
                continue
            end = start + len(form)
            if end < len(tokens) and _longer(low[found[end - 1].end() : found[end].start()], tokens[end]):
                longer = True
            else:
                exact = True
    return exact, longer


def _plain(model: str) -> str:
    name = model.lower().rpartition("/")[2].removesuffix(":latest").removesuffix(":free")
    return _SERVED.sub("", name) or name


def _longer(between: str, token: str) -> bool:
    """Whether ``token``, behind a name and ``between``, makes a longer name of it."""
    if token in _COUSINS or _SIZE.fullmatch(token):
        return between in (" ", "-", "_", ".", ":", "/")
    if token.isdigit():
        # "4.5" and "4-5" continue a version; a date is a build of the same model.
        return between in (".", "-", "_", ":") and len(token) < 3
    return between in ("-", "_")


def _same(url: str) -> str:
    """The page's identity: two addresses that differ in what nobody looks at are one."""
    parts = urlsplit(url)
    query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if not _TRACKING.match(key)])
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.")
    return f"{host}{parts.path.rstrip('/')}?{query}"
