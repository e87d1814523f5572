"""What is known of well-known models: context window, longest answer, capabilities, prices.

Facts, not a list of what may be used: a model that is not here is accepted as unknown. Prices and context windows are
those of the ``genai-prices`` data set (its base tier; a test compares them), longest answers and capabilities those of
the providers' own model pages, as collected by models.dev. ``json`` means that some kind of JSON mode is documented.
The gateway document overrides single values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple, get_args

from gateway.config.model import Capability, Price

# "-" is unknown. Prices are USD per million tokens: input, output, cache read, cache write. Where a price depends on
# the hour it is the one outside peak hours, and an introductory price is not shown.
_TABLE = """
openai:
 gpt-3.5-turbo                               16385   4096 tools,json                               0.5  1.5      -     -
 gpt-4o                                     128000  16384 vision,tools,json,pdf                    2.5   10   1.25     -
 gpt-4o-2024-05-13                          128000   4096 vision,tools,json                          5   15      -     -
 gpt-4o-mini                                128000  16384 vision,tools,json,pdf                   0.15  0.6  0.075     -
 gpt-4.1                                   1000000  32768 vision,tools,json,pdf                      2    8    0.5     -
 gpt-4.1-mini                              1000000  32768 vision,tools,json,pdf                    0.4  1.6    0.1     -
 gpt-4.1-nano                              1000000  32768 vision,tools,json                        0.1  0.4  0.025     -
 o3                                         200000 100000 vision,tools,json,reasoning,pdf            2    8    0.5     -
 o4-mini                                    200000 100000 vision,tools,json,reasoning              1.1  4.4  0.275     -
 gpt-5                                      400000 128000 vision,tools,json,reasoning             1.25   10  0.125     -
 gpt-5-mini                                 400000 128000 vision,tools,json,reasoning             0.25    2  0.025     -
 gpt-5-nano                                 400000 128000 vision,tools,json,reasoning             0.05  0.4  0.005     -
 gpt-5.1                                    400000 128000 vision,tools,json,reasoning             1.25   10  0.125     -
 gpt-5.2                                    400000 128000 vision,tools,json,reasoning             1.75   14  0.175     -
 gpt-5.4                                   1050000 128000 vision,tools,json,reasoning,pdf          2.5   15   0.25     -
 gpt-5.4-mini                               400000 128000 vision,tools,json,reasoning             0.75  4.5  0.075     -
 gpt-5.4-nano                               400000 128000 vision,tools,json,reasoning              0.2 1.25   0.02     -
 gpt-5.5                                   1000000 128000 vision,tools,json,reasoning,pdf            5   30    0.5     -
 gpt-6-astra                               1050000 128000 vision,tools,json,reasoning,pdf           10   50      1  12.5
 gpt-6-sol                                 1050000 128000 vision,tools,json,reasoning,pdf            2   10    0.2   2.5
 gpt-6-luna                                1050000 128000 vision,tools,json,reasoning,pdf          0.1  0.5   0.01 0.125
 gpt-6.1-sol                               1050000 128000 vision,tools,json,reasoning                2   10    0.1   2.5
anthropic:
 claude-opus-4-1                            200000  32000 vision,tools,reasoning,pdf                15   75    1.5 18.75
 claude-haiku-4-5                           200000  64000 vision,tools,json,reasoning,pdf            1    5    0.1  1.25
 claude-sonnet-4-5                          200000  64000 vision,tools,json,reasoning,pdf            3   15    0.3  3.75
 claude-opus-4-5                            200000  64000 vision,tools,json,reasoning,pdf            5   25    0.5  6.25
 claude-sonnet-4-6                         1000000  64000 vision,tools,json,reasoning,pdf            3   15    0.3  3.75
 claude-opus-4-6                           1000000 128000 vision,tools,json,reasoning,pdf            5   25    0.5  6.25
 claude-opus-4-7                           1000000 128000 vision,tools,json,reasoning,pdf            5   25    0.5  6.25
 claude-opus-4-8                           1000000 128000 vision,tools,json,reasoning,pdf            5   25    0.5  6.25
 claude-sonnet-5                           1000000 128000 vision,tools,json,reasoning,pdf            2   10    0.2   2.5
 claude-opus-5                             1000000 128000 vision,tools,json,reasoning,pdf            5   25    0.5  6.25
 claude-haiku-5-5                          1000000 128000 vision,tools,json,reasoning,pdf          0.1  0.5   0.01 0.125
 claude-sonnet-5-5                         1000000 128000 vision,tools,json,reasoning,pdf            2   10    0.1   2.5
 claude-opus-5-5                           1000000 128000 vision,tools,json,reasoning,pdf            4   20    0.2     5
gemini:
 gemini-2.0-flash                          1000000   8192 vision,tools,json,audio,pdf              0.1  0.4  0.025     -
 gemini-2.0-flash-lite                     1000000   8192 vision,tools,json,audio,pdf            0.075  0.3      -     -
 gemini-2.5-flash-lite                     1000000  65536 vision,tools,json,reasoning,audio,pdf    0.1  0.4   0.01     -
 gemini-2.5-flash                          1048576  65536 vision,tools,json,reasoning,audio,pdf    0.3  2.5   0.03     -
 gemini-2.5-pro                            1048576  65536 vision,tools,json,reasoning,audio,pdf   1.25   10  0.125     -
 gemini-3.1-flash-lite                     1000000  65536 vision,tools,json,reasoning,audio,pdf   0.25  1.5  0.025     -
 gemini-3.1-pro-preview                    1048576  65536 vision,tools,json,reasoning,audio,pdf      2   12    0.2     -
 gemini-3.5-flash                          1000000  65536 vision,tools,json,reasoning,audio,pdf    1.5    9   0.15     -
 gemini-3.8-flash                          1000000  65536 vision,tools,json,reasoning,audio,pdf    1.5  7.5   0.15     -
groq:
 llama-3.1-8b-instant                       131072 131072 tools,json                              0.05 0.08      -     -
 llama-3.3-70b-versatile                    131072  32768 tools,json                              0.59 0.79      -     -
 meta-llama/llama-4-scout-17b-16e-instruct  131072   8192 vision,tools,json                       0.11 0.34      -     -
 openai/gpt-oss-20b                         131072  65536 tools,json,reasoning                   0.075  0.3 0.0375     -
 openai/gpt-oss-120b                        131072  65536 tools,json,reasoning                    0.15  0.6  0.075     -
 qwen/qwen3-32b                             131072  40960 tools,json,reasoning                    0.29 0.59      -     -
mistral:
 ministral-3b-2512                          131072      - vision,tools,json                        0.1  0.1   0.01     -
 ministral-8b-2512                          262144      - vision,tools,json                       0.15 0.15  0.015     -
 mistral-small-2603                         262144      - vision,tools,json,reasoning             0.15  0.6  0.015     -
 mistral-medium-3-5                         262144      - vision,tools,json                        1.5  7.5   0.15     -
 mistral-large-2512                         262144      - vision,tools,json                        0.5  1.5   0.05     -
 codestral-2508                             256000      - tools,json                               0.3  0.9   0.03     -
deepseek:
 deepseek-v4-flash                         1000000 384000 tools,json,reasoning                    0.15  0.6  0.003     -
 deepseek-v4-pro                           1000000 384000 tools,json,reasoning                    0.66 1.98  0.022     -
xai:
 grok-4.3                                  1000000  30000 vision,tools,json,reasoning,pdf         1.25  2.5    0.2     -
 grok-4.7                                   500000 500000 vision,tools,json,reasoning                2    6    0.5     -
 grok-build-0.1                             256000 256000 vision,tools,json,reasoning,pdf            1    2    0.2     -
perplexity:
 sonar                                      128000   4096 json                                       1    1      -     -
 sonar-pro                                  200000   8192 vision,json                                3   15      -     -
 sonar-reasoning-pro                        128000   4096 vision,json,reasoning                      2    8      -     -
cerebras:
 gpt-oss-120b                               131072  40960 tools,json,reasoning                    0.35 0.75      -     -
 zai-glm-4.7                                131072  40960 tools,json,reasoning                    2.25 2.75      -     -
cohere:
 command-r7b-12-2024                        128000   4000 tools,json                            0.0375 0.15      -     -
 command-r-08-2024                          128000   4000 tools,json                              0.15  0.6      -     -
 command-r-plus-08-2024                     128000   4000 tools,json                               2.5   10      -     -
 command-a-03-2025                          256000   8000 tools,json                               2.5   10      -     -
together:
 openai/gpt-oss-120b                        131072      - tools,json,reasoning                    0.15  0.6      -     -
 meta-llama/Llama-3.3-70B-Instruct-Turbo    131072      - tools,json                              0.88 0.88      -     -
"""

#: What providers append to a name for a date or the newest version.
_VERSION = re.compile(r"-(?:latest|\d{8}|\d{4}-\d{2}-\d{2}|\d{3})")


class Facts(NamedTuple):
    """What is known of one model; None is unknown."""

    context: int | None = None
    max_output: int | None = None
    capabilities: frozenset[Capability] | None = None
    price: Price | None = None


UNKNOWN = Facts()


@cache
def by_provider() -> Mapping[str, Mapping[str, Facts]]:
    """The whole catalogue: a provider's name to its models' names."""
    known: dict[str, dict[str, Facts]] = {}
    models: dict[str, Facts] = {}
    possible: dict[str, Capability] = {name: name for name in get_args(Capability)}
    for row in _TABLE.strip().splitlines():
        if row.endswith(":"):
            models = known[row.removesuffix(":")] = {}
            continue
        name, context, output, capabilities, *prices = row.split()
        models[name] = Facts(
            _whole(context),
            _whole(output),
            frozenset(possible[capability] for capability in capabilities.split(",")),
            Price(**dict(zip(("input", "output", "cache_read", "cache_write"), map(_usd, prices), strict=True))),
        )
    return known


def facts(provider: str, name: str) -> Facts | None:
    """What is known of a model, or of the model that ``name`` is a dated or ``-latest`` version of."""
    models = by_provider().get(provider, {})
    found = models.get(name)
    if found is None and (version := _VERSION.search(name)) is not None and version.end() == len(name):
        found = models.get(name[: version.start()])
    return found


def _whole(text: str) -> int | None:
    return None if text == "-" else int(text)


def _usd(text: str) -> float | None:
    return None if text == "-" else float(text)
