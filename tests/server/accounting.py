"""What requests add up to, as the ledger's rows, ``llm-relay usage``, the metrics and the pages of ``/ui`` have it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.ledger import By
from gateway.server.ui.look import clock, count, ms, share, short, usd

KINDS = ("input", "output", "cache_read", "cache_write", "reasoning")
Row = Mapping[str, Any]

# --- accounts ---------------------------------------------------------------------------------------------------------

#: What is compared: requests, decisions asked for, and by role tokens of each kind and costs in billionths of a dollar.
Account = dict[str, int]


def nanos(usd: float) -> int:
    return int((Decimal(repr(usd)) * 10**9).to_integral_value())


def account(requests: int, questions: int, parts: Iterable[tuple[str, float | None]]) -> Account:
    """Without what nobody knows, and without zeros."""
    found = {name: nanos(value) if "cost" in name else int(value) for name, value in parts if value is not None}
    return {name: value for name, value in {"requests": requests, "asked": questions, **found}.items() if value}


def from_rows(rows: Iterable[Mapping[str, Any]]) -> Account:
    """The ledger's rows, added up here."""
    rows = list(rows)
    columns = [*KINDS, *(f"designator_{kind}" for kind in KINDS)]
    sums: dict[str, float | None] = {column: sum(row[column] or 0 for row in rows) for column in columns}
    for column in ("cost", "dearest_cost", "designator_cost"):
        sums[column] = sum(nanos(row[column]) for row in rows if row[column] is not None) / 10**9
    return account(len(rows), asked(rows), sums.items())


def from_usage(sums: Mapping[str, Any]) -> Account:
    """A line of ``llm-relay usage --format json``."""
    names = [*KINDS, *(f"designator_{kind}" for kind in KINDS), "cost", "dearest_cost", "designator_cost"]
    return account(sums["requests"], sums["designator_requests"], ((name, sums[name]) for name in names))


class Page:
    """The metrics' page."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name.removeprefix("llm_relay_"), frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of what has these labels; None where nothing has."""
        wanted = labels.items()
        values = [value for (found, has), value in self.samples.items() if found == name and wanted <= has]
        return sum(values) if values else None

    def account(self, **labels: str) -> Account:
        """Of what has these labels; a model's name is the candidate's, or with another role the designator's."""
        candidate = labels.pop("candidate", None)
        mine = {} if candidate is None else {"candidate": candidate}
        paid = {} if candidate is None else {"model": candidate}
        parts: list[tuple[str, float | None]] = [
            (kind, self.total("candidate_tokens_total", direction=kind, **labels, **mine)) for kind in KINDS
        ]
        parts.append(("cost", self._cost("cost_usd_total", role="candidate", **labels, **paid)))
        if candidate is None:
            parts += [
                (f"designator_{kind}", self.total("designator_tokens_total", direction=kind, **labels))
                for kind in KINDS
            ]
            parts.append(("designator_cost", self._cost("cost_usd_total", role="designator", **labels)))
            parts.append(("dearest_cost", self._cost("dearest_cost_usd_total", **labels)))
        questions = 0.0
        if candidate is None:
            questions = self.total("designator_requests_total", **labels) or 0.0
            questions -= self.total("designator_requests_total", **labels, outcome="open") or 0.0
        return account(int(self.total("requests_total", **labels, **mine) or 0), int(questions), parts)

    def tag(self, tag: str) -> Account:
        parts: list[tuple[str, float | None]] = []
        for role, prefix in (("candidate", ""), ("designator", "designator_")):
            tokens = ((kind, self.total("tag_tokens_total", tag=tag, role=role, direction=kind)) for kind in KINDS)
            parts += [(f"{prefix}{kind}", count) for kind, count in tokens]
            parts.append((f"{prefix}cost", self._cost("tag_cost_usd_total", tag=tag, role=role)))
        return account(0, 0, parts)

    def _cost(self, name: str, **labels: str) -> float | None:
        """To the billionth; a counter adds floats, and so is off by less."""
        found = self.total(name, **labels)
        return None if found is None else round(found, 9)


def only(found: Account, *names: str, leave: bool = False) -> Account:
    return {name: value for name, value in found.items() if (name in names) is not leave}


# --- pages ------------------------------------------------------------------------------------------------------------

#: What the pages of usage call requests that have none.
NAMELESS: Mapping[By, str] = {
    "router": "asked directly",
    "candidate": "no candidate",
    "tag": "without tags",
    "client": "no client",
}


def keys(row: Row, by: By) -> list[str | None]:
    """The groups that a request belongs to."""
    if by == "tag":
        return json.loads(row["tags"]) or [None]
    if by == "day":
        return [time.strftime("%Y-%m-%d", time.gmtime(row["time"]))]
    return [row[by] or None]


def grouped(rows: Iterable[Row], by: By) -> dict[str | None, list[Row]]:
    found: dict[str | None, list[Row]] = {}
    for row in rows:
        for key in keys(row, by):
            found.setdefault(key, []).append(row)
    return found


def failed(rows: Iterable[Row]) -> int:
    return sum(row["ended"] in ("error", "upstream_cut") for row in rows)


def asked(rows: Iterable[Row]) -> int:
    return sum(row["designator"] is not None and row["designator_outcome"] != "open" for row in rows)


def fallbacks(rows: Iterable[Row]) -> int:
    return sum((row["decision"] or "").startswith("fallback_") for row in rows)


def known(rows: Iterable[Row], column: str) -> list[Any]:
    return [row[column] for row in rows if row[column] is not None]


def total(rows: Sequence[Row], column: str) -> float | None:
    """A sum, exact to the billionth; None where nobody knew."""
    values = known(rows, column)
    return sum(map(nanos, values)) / 10**9 if values else None


def saved(rows: Sequence[Row]) -> float | None:
    """What the dearest candidates would have cost more, designators paid."""
    priced = [row for row in rows if row["dearest_cost"] is not None and row["cost"] is not None]
    if not priced:
        return None
    sums = (nanos(row["dearest_cost"]) - nanos(row["cost"]) - nanos(row["designator_cost"] or 0) for row in priced)
    return sum(sums) / 10**9


def mean(rows: Sequence[Row], column: str) -> float | None:
    values = known(rows, column)
    return sum(values) / len(values) if values else None


def candidates_cells(rows: Sequence[Row]) -> list[str]:
    """A line of the usage page's table of candidates, without the means at its end."""
    return [
        count(len(rows)),
        count(failed(rows)),
        *(short(total(rows, column)) for column in ("input", "output", "cache_read")),
        usd(total(rows, "cost")),
        usd(saved(rows)),
    ]


def means_cells(rows: Sequence[Row]) -> list[set[str]]:
    """What may stand at its end: a mean that lies between two numbers may be shown as either, since it is a sum of
    fractions, which depends on the order.
    """
    found = [mean(rows, column) for column in ("ttft_ms", "total_ms")]
    return [{ms(each) if each is None else ms(each * near) for near in (1 - 1e-9, 1 + 1e-9)} for each in found]


def designators_cells(rows: Sequence[Row]) -> list[str]:
    """A line of the usage page's table of designators."""
    tokens = [short(total(rows, f"designator_{kind}")) for kind in ("input", "output")]
    return [count(asked(rows)), *tokens, usd(total(rows, "designator_cost"))]


def tiles(rows: Sequence[Row]) -> dict[str, str]:
    """What the overview says in large."""
    routed = [row for row in rows if row["router"]]
    return {
        "Requests": count(len(rows)),
        "Failed": share(failed(rows), len(rows)),
        "Cost": usd(total(rows, "cost")),
        "Designators": usd(total(rows, "designator_cost")),
        "Saved": usd(saved(rows)),
        "Fallbacks": share(fallbacks(rows), len(routed)),
    }


def listed(row: Row) -> list[str]:
    """A line of a list of requests."""
    if row["ended"] == "complete":
        status = str(row["status"])
    else:
        status = "left" if row["ended"] == "client_left" else row["code"] or str(row["status"])
    names = [row[name] or "\N{EN DASH}" for name in ("router", "candidate")]
    times = [ms(row[name]) for name in ("designator_ms", "total_ms")]
    tokens = f"{count(row['input'])} / {count(row['output'])}"
    client = row["client"] or "\N{EN DASH}"
    return [clock(row["time"]), *names, row["decision"] or "direct", status, client, *times, tokens, usd(row["cost"])]


def labels(row: Row, declared: frozenset[str]) -> tuple[str, ...]:
    """Those of ``llm_relay_requests_total``: router, candidate, decision, status."""
    candidate = row["candidate"] if row["candidate"] in declared else "other"
    router = row["router"] or ("other" if row["candidate"] is None else "direct")
    decision = row["decision"] or ("direct" if router == "direct" else "other")
    return router, candidate, decision, str(row["status"]) if row["status"] else "other"


def counted(rows: Iterable[Row], declared: frozenset[str]) -> Counter[tuple[str, ...]]:
    return Counter(labels(row, declared) for row in rows)
