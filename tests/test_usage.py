"""``llm-relay usage``: what people, spreadsheets and programs are shown of the ledger."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli import main
from gateway.ledger import By, Entry, Ledger, Sum
from gateway.store import FILE, Store
from gateway.usage import Report, render

#: What a group of ten requests without a designator adds up to.
PLAIN = Sum(
    key="smart",
    requests=10,
    errors=1,
    input=12_345,
    output=678,
    cache_read=1_000,
    cache_write=None,
    reasoning=None,
    cost=0.0123,
    dearest_cost=0.05,
    saving=0.0377,
    unknown=0,
    unpriced=0,
    designator_requests=0,
    designator_input=None,
    designator_output=None,
    designator_cache_read=None,
    designator_cache_write=None,
    designator_reasoning=None,
    designator_cost=None,
    designator_unpriced=0,
    ttft_ms=320.4,
    total_ms=2_500.0,
)


def changed(**values: Any) -> Sum:
    return msgspec.structs.replace(PLAIN, **values)


def table(*groups: Sum, total: Sum | None = None, by: By = "router") -> str:
    """What people are shown."""
    return render(Report(by, 0.0, groups, total or changed(key=None)), style="text")


def test_a_table() -> None:
    asked = changed(
        key=None,
        input=None,
        cost=None,
        saving=None,
        designator_requests=3,
        designator_input=900,
        designator_output=12,
        designator_cost=0.000042,
    )
    assert table(PLAIN, asked, total=changed(key=None, requests=1_020)) == (
        "router  requests  errors  tokens in  cached  tokens out  cost $  saved $  decisions  designator in"
        "  designator out  designator $  first ms  total ms\n"
        "smart         10       1     12,345   1,000         678  0.0123   0.0377          0              -"
        "               -             -       320     2,500\n"
        "-             10       1          -   1,000         678       -        -          3            900"
        "              12     0.0000420       320     2,500\n"
        "total      1,020       1     12,345   1,000         678  0.0123   0.0377          0              -"
        "               -             -       320     2,500\n"
    )


def test_a_name_does_nothing_to_the_terminal() -> None:
    assert "sandbox/[U+001B][2J " in table(changed(key="sandbox/\x1b[2J"), by="candidate")


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        ([12.5, 3.0], ["12.50", "3.00"]),
        ([1_234_567.891], ["1,234,567.89"]),
        ([12.5, 0.0421], ["12.5000", "0.0421"]),
        ([0.000123456, 5.0], ["0.000123", "5.000000"]),
        ([0.000000001], ["0.000000001"]),
        ([0.0, None], ["0.00", "-"]),
        ([None], ["-"]),
        ([-0.0042], ["-0.00420"]),
    ],
)
def test_money_is_shown_with_enough_digits(amounts: list[float | None], shown: list[str]) -> None:
    groups = [changed(cost=amount) for amount in amounts]
    lines = [re.split(r" {2,}", line) for line in table(*groups, total=changed(cost=None)).splitlines()]
    place = lines[0].index("cost $")
    assert [line[place] for line in lines[1:-1]] == shown


@pytest.mark.parametrize(
    ("by", "groups", "total", "notes"),
    [
        ("router", [{}], {}, []),
        ("tag", [{}], {}, []),
        ("tag", [{}, {}], {}, ["a request with several tags counts under each of them, and once in the total"]),
        (
            "day",
            [{}],
            {"unpriced": 1_200},
            ["1,200 requests cost an unknown amount: the tokens or the model's price are not known"],
        ),
        ("day", [{}], {"designator_unpriced": 1}, ["deciding 1 request cost an unknown amount"]),
    ],
)
def test_what_the_table_cannot_say(
    by: By, groups: list[dict[str, Any]], total: dict[str, Any], notes: list[str]
) -> None:
    shown = table(*(changed(**values) for values in groups), total=changed(key=None, **total), by=by)
    assert shown.splitlines()[len(groups) + 2 :] == notes


def test_csv_is_one_line_per_group_and_no_total() -> None:
    tiny = changed(key='a "tag"', cost=1e-9)
    shown = render(Report("tag", 0.0, [tiny, changed(key=None)], PLAIN), style="csv")
    first, second = csv.DictReader(io.StringIO(shown))
    assert (first["tag"], first["requests"], first["cost"], first["cache_write"]) == (
        'a "tag"',
        "10",
        "0.000000001",
        "",
    )
    assert (second["tag"], second["cost"], second["designator_cost"]) == ("", "0.012300000", "")


def test_json_is_everything() -> None:
    report = json.loads(render(Report("client", 5.0, [PLAIN], changed(key=None)), style="json"))
    assert report == {
        "by": "client",
        "since": 5.0,
        "groups": [msgspec.structs.asdict(PLAIN)],
        "total": msgspec.structs.asdict(changed(key=None)),
    }


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data of a gateway that answered two requests, one of them ten days ago."""
    store = Store(tmp_path / FILE)
    ledger = Ledger(store, keep=1e9)
    now = time.time()
    for age, router, cost in ((10, "old", 0.5), (0, "new", 0.25)):
        ledger.add(
            Entry(
                time=now - age * 86_400,
                request_id=router,
                dialect="openai",
                router=router,
                candidate="p/m",
                tags=("a", "b"),
                status=200,
                cost=cost,
            )
        )
    store.close()
    return tmp_path


Run = Callable[..., str]


@pytest.fixture
def usage(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command and gives what it prints."""

    def run(*arguments: str) -> str:
        assert main(["usage", "--data", str(data), *arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ((), ["new"]),
        (("--since", "4w"), ["new", "old"]),
        (("--since", "4w", "--by", "candidate"), ["p/m"]),
        (("--by", "tag"), ["a", "b"]),
        (("--by", "client"), ["-"]),
    ],
)
def test_the_command_groups_what_is_young_enough(usage: Run, arguments: tuple[str, ...], keys: list[str]) -> None:
    lines = usage(*arguments).splitlines()
    assert [line.split()[0] for line in lines[1 : len(keys) + 1]] == keys
    assert lines[len(keys) + 1].startswith("total ")


def test_nothing_was_asked(usage: Run) -> None:
    assert usage("--since", "0s") == "nothing was asked in that time\n"
    assert json.loads(usage("--since", "0s", "--format", "json"))["groups"] == []


def test_the_total_of_the_command(usage: Run) -> None:
    report = json.loads(usage("--since", "4w", "--by", "tag", "--format", "json"))
    assert [(one["key"], one["cost"]) for one in report["groups"]] == [("a", 0.75), ("b", 0.75)]
    assert (report["total"]["requests"], report["total"]["cost"]) == (2, 0.75)


def test_without_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage", "--data", str(tmp_path)]) == 1
    assert "no such file" in capsys.readouterr().err
