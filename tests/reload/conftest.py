from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.reload.watched import POLLS, Watch, Watched, document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "routers.d"
    folder.mkdir()
    (folder / "smart.yaml").write_text(document("first"))
    (folder / "other.yaml").write_text(document("beside", "other"))
    return folder


@pytest.fixture(params=POLLS)
async def watch(request: pytest.FixtureRequest) -> AsyncIterator[Watch]:
    opened: list[Watched] = []

    def open(folder: Path, *, rest: float = 0.05) -> Watched:
        opened.append(Watched(folder, polling=request.param == "polling", poll=POLLS[request.param], rest=rest))
        return opened[-1]

    yield open
    for watched in opened:
        await watched.stop()
