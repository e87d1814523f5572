"""What differs between generations of Claude, read from a model's name.

Sources: Anthropic's "Extended thinking" (from 3.7 on), and its "Migration guide" and "Adaptive thinking": from 4.7 on a
model refuses a thinking budget and every sampling parameter that is not the default, and takes an effort instead;
models before 4.6 know only the budget.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

#: How a model is told to think: not at all, with a budget of tokens, or with an effort.
Thinking = Literal["never", "budget", "effort"]

#: ``claude-opus-4-7``, ``claude-3-5-haiku-20241022``: one or two short numbers; a date is no version.
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")


@lru_cache(maxsize=1024)
def thinking(model: str) -> Thinking:
    """How the model thinks; one whose name says no version, such as another vendor's, is told a budget."""
    found = _VERSION.search(model.lower())
    if found is None:
        return "budget"
    version = int(found[1]), int(found[2] or 0)
    return "never" if version < (3, 7) else "budget" if version < (4, 7) else "effort"
