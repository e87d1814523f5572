"""Dashboards, alerts and how to install them, as code.

``llm-relay dashboards build`` writes what :func:`documents` gives. Everything is made from the names in
:mod:`gateway.metrics`, is the same whenever it is made, and is kept in the repository, so that a change of it can be
reviewed. Needs the extra ``dashboards``.
"""

from __future__ import annotations

from pathlib import Path

from gateway.dashboards import board, cost, gitops, latency, provisioning, routing, rules

BOARDS = (routing.BOARD, cost.BOARD, latency.BOARD, gitops.BOARD)

#: Where the text on each alert is.
RUNBOOK = "README.md"


def documents(runbook: str = RUNBOOK) -> dict[str, str]:
    """All files, by path. ``runbook`` is where people find the README: alerts link to its headings."""
    made = {f"{each.name}.json": board.render(each) for each in BOARDS}
    made["rules/llm-relay.rules.yaml"] = rules.render(runbook)
    made.update({f"provisioning/{path}": text for path, text in provisioning.FILES.items()})
    return made


def build(folder: Path, runbook: str = RUNBOOK) -> list[Path]:
    """Write all files below ``folder``, and return their paths. Other files there are left alone."""
    written = []
    for name, text in documents(runbook).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
