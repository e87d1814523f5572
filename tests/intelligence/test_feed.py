"""Assessments on their way into a gateway."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.generation import Generation
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, Assessments, by_key
from gateway.intelligence.feed import Feed, FeedError
from tests.intelligence.kit import FULL, NOW, SMALL, assessment, documents, snapshot, write

HOUR = 3600.0


class Scene:
    """A feed over a folder, whose Chroma is ``stored``: assessments, or what reading it ends in."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = write(folder / "routers.d", documents("http://127.0.0.1:1", source=source))
        self.data = folder / "data"
        self.generation = Generation(snapshot(self.folder))
        self.stored: Assessments | FeedError = {}
        self.reads = 0
        self.now = NOW + HOUR
        self.told: Assessments = {}
        self.feed = Feed(
            self.folder,
            self.data,
            {},
            current=lambda: self.generation,
            changed=self.change,
            known=self.know,
            clock=lambda: self.now,
            read=self.read,
        )

    async def change(self) -> None:
        self.generation = Generation(self.generation.snapshot, self.feed.texts(self.generation.snapshot))

    def know(self, assessments: Assessments) -> None:
        self.told = assessments

    async def read(self, folder: Path, data: Path | None, routers: list[str]) -> Assessments:
        assert (folder, data, routers) == (self.folder, self.data, ["smart"])
        self.reads += 1
        if isinstance(self.stored, FeedError):
            raise self.stored
        return self.stored

    def touch(self) -> None:
        """What a writer does."""
        file = self.data / "chroma.changed"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{time.time_ns()}")

    @property
    def header(self) -> str:
        return self.generation.revision_header.decode()

    @property
    def system(self) -> str:
        return self.generation.policies["smart"].system


@pytest.fixture
def files(tmp_path: Path) -> Scene:
    return Scene(tmp_path, "file")


@pytest.fixture
def store(tmp_path: Path) -> Scene:
    return Scene(tmp_path, "chroma")


async def test_a_file_reaches_the_prompt(files: Scene) -> None:
    plain, digest = files.header, files.generation.policies["smart"].digest
    await files.feed.look_at_files()
    assert files.header == plain, "without assessments nothing changes"
    lockfile.write(files.folder, "smart", [assessment()])
    await files.feed.look_at_files()
    assert 'assessment: "Strong at vision. Best for: charts."' in files.system
    first = files.header
    assert first.startswith(f"{plain}+")
    assert len(first) == len(plain) + 7
    assert files.generation.policies["smart"].digest != digest
    lockfile.write(files.folder, "smart", [assessment(text="Weak.")])
    await files.feed.look_at_files()
    assert files.header not in (plain, first)
    assert files.reads == 0


async def test_a_file_with_a_mistake_leaves_what_was_known(files: Scene, caplog: pytest.LogCaptureFixture) -> None:
    path = lockfile.write(files.folder, "smart", [assessment()])
    await files.feed.look_at_files()
    path.write_text("router: [")
    await files.feed.look_at_files()
    await files.feed.look_at_files()
    assert "Strong at vision." in files.system
    (said,) = [record.message for record in caplog.records if "smart.yaml:2:1" in record.message]
    assert "not YAML" in said, "once, not at every look"
    (problem,) = files.feed.problems
    assert (problem.file, problem.line, problem.column) == (str(path), 2, 1)
    path.write_text(lockfile.render("smart", [assessment(text="Weak.")]))
    await files.feed.look_at_files()
    assert files.feed.problems == ()
    assert "Weak." in files.system


async def test_what_has_expired_is_dropped_and_its_age_still_told(files: Scene) -> None:
    lockfile.write(files.folder, "smart", [assessment(days=1), assessment(SMALL, days=2)])
    await files.feed.look_at_files()
    assert files.system.count("; assessment: ") == 2
    files.now = NOW + 86400
    await files.feed.look_at_files()
    assert files.system.count("; assessment: ") == 1
    assert len(files.told) == 2


async def test_the_store_is_read_when_it_changes_only(store: Scene) -> None:
    store.stored = by_key([assessment(), assessment(router="gone")])
    for _ in range(5):
        await store.feed.look_at_store()
    assert store.reads == 1
    assert list(store.told) == [("smart", FULL)]
    store.stored = by_key([assessment(text="Newer.")])
    store.touch()
    await store.feed.look_at_store()
    assert store.reads == 2
    assert "Newer." in store.system


async def test_a_store_that_is_down_and_comes_back(store: Scene, caplog: pytest.LogCaptureFixture) -> None:
    store.stored = FeedError("refused")
    for _ in range(3):
        await store.feed.look_at_store()
    assert len([record for record in caplog.records if "routing goes on: refused" in record.message]) == 1
    assert store.feed.trouble == "refused"
    assert "; assessment: " not in store.system
    store.stored = by_key([assessment()])
    await store.feed.look_at_store()
    assert "Strong at vision." in store.system
    assert store.feed.trouble == ""
    store.stored = FeedError("refused")
    store.touch()
    await store.feed.look_at_store()
    assert "Strong at vision." in store.system, "what was known goes on being used"


async def test_a_store_that_shows_no_change_is_asked_now_and_then(store: Scene) -> None:
    for number in range(20):
        await store.feed.look_at_store(number)
    assert store.reads == 2


def test_a_text_is_bounded() -> None:
    made: Assessment = assessment(text="x" * 5000)
    assert len(made.text) <= 1000
