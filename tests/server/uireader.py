"""What people read on the pages of ``/ui``, as rows of tables and lines of tiles."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx

#: Elements whose text is one cell, one label or one value.
_CELLS = frozenset({"th", "td", "dt", "dd", "caption"})
#: A part of a cell that is a remark.
_REMARKS = frozenset({"small", "abbr"})


class Read(HTMLParser):
    """One page: its tables by their captions, each as rows of cells, and what it says of what (``dt`` and ``dd``)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.said: dict[str, str] = {}
        #: Remarks of ``said``.
        self.remarks: dict[str, str] = {}
        self.links: list[dict[str, str | None]] = []
        self._open: list[str] = []
        self._rows: list[list[str]] = []
        self._label = ""
        self._text = self._remark = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag == "a":
            self.links.append(dict(attrs))
        if tag in _CELLS or tag in _REMARKS:
            self._open.append(tag)
        if tag in _CELLS:
            self._text = self._remark = ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in _CELLS and tag not in _REMARKS:
            return
        self._open.pop()
        text = " ".join(self._text.split())
        match tag:
            case "caption":
                self.tables[text] = self._rows
            case "th" | "td":
                self._rows[-1].append(text)
            case "dt":
                self._label = text
            case "dd":
                self.said[self._label] = text
                self.remarks[self._label] = " ".join(self._remark.split())

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in _REMARKS:
            self._remark += data
        elif self._open:
            self._text += data

    def table(self, caption: str) -> dict[str, list[str]]:
        """The other cells of a table's rows by the first one, without the table's head."""
        return {row[0]: row[1:] for row in self.tables[caption][1:]}


async def read(client: httpx.AsyncClient, path: str, **query: str) -> Read:
    answer = await client.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return Read(answer.text)


async def decisions(client: httpx.AsyncClient) -> dict[int, list[str]]:
    """Every row of the list of decisions by its number, from its first page to its last one."""
    path: str = "/ui/decisions"
    found: dict[int, list[str]] = {}
    while path:
        page = await read(client, path)
        numbers = [match for link in page.links if (match := re.fullmatch(r"/ui/decisions/(\d+)", link["href"] or ""))]
        for match, cells in zip(numbers, page.tables["Requests, newest first"][1:], strict=True):
            found[int(match[1])] = cells
        path = next((link["href"] or "" for link in page.links if link.get("rel") == "next"), "")
    return found


async def export(client: httpx.AsyncClient, style: str, by: str) -> Any:
    """A file of the usage page: JSON decoded, CSV as its text."""
    answer = await client.get(f"/ui/usage.{style}", params={"by": by})
    assert answer.status_code == 200, answer.text
    return answer.json() if style == "json" else answer.text
