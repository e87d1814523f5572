"""What is asked, and which answers count for whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.intelligence.queries import EXCERPT, MOST_SOURCES, Name, choose, queries
from gateway.intelligence.search import Found
from tests.intelligence.kit import documents, routers, write


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        ("gpt-4o", "GPT-4o is good", (True, False)),
        ("gpt-4o", "GPT 4o's answers", (True, False)),
        ("gpt-4o", "GPT-4o mini is cheap", (False, True)),
        ("gpt-4o", "gpt_4o_mini", (False, True)),
        ("gpt-4o", "GPT-4o-audio", (False, True)),
        ("gpt-4o", "GPT-4o and GPT-4o mini", (True, True)),
        ("gpt-4o", "gpt-4o-2024-08-06", (True, False)),
        ("gpt-4o", "GPT-4o. Mini models are cheap", (True, False)),
        ("gpt-4o", "chatgpt-4o", (False, False)),
        ("gpt-4o-mini", "GPT-4o is good", (False, False)),
        ("gpt-4o-mini", "GPT 4o mini is good", (True, False)),
        ("claude-sonnet-4", "Claude Sonnet 4.5", (False, True)),
        ("claude-sonnet-4-5", "Claude Sonnet 4.5 and", (True, False)),
        ("claude-sonnet-4-5-20250929", "Claude 4.5 Sonnet", (True, False)),
        ("llama-3.3-70b-versatile", "Llama 3.3 70B is", (True, False)),
        ("llama-3", "Llama 3 70B", (False, True)),
        ("gemini-2.0-flash", "Gemini 2.0 Flash Lite", (False, True)),
        ("o1", "OpenAI o1 was", (True, False)),
        ("o1", "o1-mini was", (False, True)),
        ("meta/llama3.1:latest", "llama3.1 runs", (True, False)),
    ],
)
def test_a_name_and_its_cousins(model: str, text: str, expected: tuple[bool, bool]) -> None:
    assert Name(model).mentions(text) == expected


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        ("gpt-4o", "GPT-4o mini is cheap.", True),
        ("gpt-4o", "GPT-4o beats GPT-4o mini.", False),
        ("gpt-4o", "It is cheap.", False),
        ("gpt-4o-mini", "GPT-4o wins at reasoning.", True),
        ("gpt-4o-mini", "GPT-4o mini loses to GPT-4o.", False),
        ("gemini-2.0-flash-lite", "Gemini 2.0 Flash is quick.", True),
        ("claude-sonnet-4-5", "Claude Sonnet writes well.", False),
    ],
)
def test_a_sentence_on_a_cousin(model: str, text: str, expected: bool) -> None:
    assert Name(model).elsewhere(text) is expected


def test_a_comparison_is_one_search_for_both(tmp_path: Path) -> None:
    (router,) = routers(write(tmp_path, documents("http://127.0.0.1:1")))
    full, small = (queries(router, candidate, 2031) for candidate in router.candidates)
    assert full == [
        '"gpt-4o" LLM review strengths weaknesses 2031',
        '"gpt-4o" LLM benchmarks limitations 2031',
        '"gpt-4o" vs "gpt-4o-mini" comparison 2031',
    ]
    assert small[2] == full[2]


def test_the_best_pages_count_once(tmp_path: Path) -> None:
    (router,) = routers(write(tmp_path, documents("http://127.0.0.1:1")))
    candidate = router.candidates[0]
    low = Found("https://low.example", "GPT-4o", "GPT-4o is fine.")
    often = Found("https://www.often.example/a/?utm_source=x", "GPT-4o", "GPT-4o wins.")
    again = Found("https://often.example/a#top", "GPT-4o", "GPT-4o wins often.")
    mini = Found("https://mini.example", "GPT-4o mini", "GPT-4o mini is cheap.")
    assert [page.url for page in choose(candidate, [[mini, low, often], [again, mini]])] == [again.url, low.url]
    assert len(choose(candidate, [[Found(f"https://x.example/{n}", "", "gpt-4o") for n in range(30)]])) == MOST_SOURCES


def test_what_is_said_of_a_cousin_is_left_out(tmp_path: Path) -> None:
    (router,) = routers(write(tmp_path, documents("http://127.0.0.1:1")))
    page = Found(
        "https://x.example", "", "Intro. GPT-4o mini is bad at maths. GPT-4o is good at maths. " + "More. " * 999
    )
    (chosen,) = choose(router.candidates[0], [[page]])
    assert chosen.text.startswith("GPT-4o is good at maths. Intro.")
    assert "mini" not in chosen.text
    assert len(chosen.text) <= EXCERPT
