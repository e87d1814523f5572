"""The house stays as it was drawn: imports only go down, and a module fits in a head."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gateway"

#: Every room and its floor. A module may import from lower floors, and from its own room.
FLOORS = {
    "errors": 0,
    "chat": 0,
    "headers": 0,
    "tracecontext": 0,
    "transport": 1,
    "config": 1,
    "wire": 1,
    "routing": 2,
    "costs": 2,
    "lane": 2,
    "upstream": 3,
    "lint": 3,
    "sandbox": 2,
    "rollup": 1,
    "database": 2,
    "store": 3,
    "sessions": 4,
    "ledger": 4,
    "samples": 5,
    "exposition": 4,
    "series": 4,
    "tally": 5,
    "metrics": 6,
    "logs": 5,
    "tracing": 5,
    "usage": 5,
    "activity": 5,
    "generation": 5,
    "dashboards": 6,
    "call": 6,
    "telemetry": 6,
    "heads": 7,
    "intelligence": 6,
    "decider": 7,
    "relay": 8,
    "embed": 9,
    "reload": 9,
    "rehearsal": 9,
    "plan": 10,
    "cases": 10,
    "explain": 10,
    "server": 11,
    "cli": 12,
    "__main__": 13,
}

#: Rooms that may not know of each other although one lies lower.
STRANGERS = {("config", "wire"), ("wire", "config"), ("transport", "config"), ("transport", "wire")}

#: Whoever is named here is all that may import the library.
KEEPERS = {
    "httpx": {"transport", "lane", "upstream", "sandbox", "intelligence"},
    "httptools": {"transport"},
    "litestar": {"server"},
    "granian": {"server"},
    "yaml": {"config"},
    "jsonschema": {"config"},
    "sqlite3": {"rollup", "database", "store", "sessions", "ledger", "samples", "activity"},
    "watchfiles": {"reload"},
    "grafana_foundation_sdk": {"dashboards"},
    "chromadb": {"intelligence"},
    "opentelemetry": {"telemetry"},
    "jinja2": {"server"},
}

#: What a wire may never do.
NO_IO = {"asyncio", "httpx", "socket", "litestar", "sqlite3", "threading"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{module}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_every_room_has_a_floor() -> None:
    assert {room(module) for module in MODULES} - {"__init__"} == FLOORS.keys()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_imports_only_go_down(module: Path) -> None:
    here = room(module)
    if here == "__init__":
        assert not {name for name in imports(module) if name.startswith("gateway")}
        return
    for name in imports(module):
        parts = name.split(".")
        if parts[0] != "gateway":
            assert here in KEEPERS.get(parts[0], {here}), f"{here} imports {parts[0]}"
            assert here != "wire" or parts[0] not in NO_IO, f"a wire imports {parts[0]}"
            continue
        there = parts[1]
        if there == here or there not in FLOORS:
            continue
        assert FLOORS[there] < FLOORS[here], f"{here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"
        assert (here, there) not in STRANGERS, f"{here} imports {there}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_fits_in_a_head(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 420
