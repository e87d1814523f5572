"""What a folder can go through while it is watched, with the file system's events and without any.

A reloader of its own on a real folder: no server, so that every case stays quick.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from gateway.generation import Generation
from gateway.reload import REST_SECONDS, ConfigurationError, Holder, Reloader
from tests.faultserver import PATIENCE

#: Seconds between two polls: where there are events, nothing is found without them here.
POLLS = {"events": 60.0, "polling": 0.03}


class Watched:
    """A folder and the reloader that watches it."""

    def __init__(
        self, folder: Path, *, polling: bool = False, poll: float = 60.0, rest: float = 0.05, kept: Path | None = None
    ) -> None:
        #: The description of the router ``smart``, or None without one, for every reload; "refused" for a refused one.
        self.told: list[str | None] = []
        self._changed = asyncio.Event()
        self._reloader = Reloader(
            folder,
            {},
            applied=lambda generation: self._note(_shown(generation)),
            refused=lambda: self._note("refused"),
            polling=polling,
            poll=poll,
            rest=rest,
            kept=kept,
        )
        self.holder: Holder = self._reloader.load()
        self._running = asyncio.create_task(self._reloader.run())

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until ``true`` is; it is asked again at every reload."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def shows(self, description: str) -> None:
        """Wait until this is what serves."""
        await self.until(lambda: _shown(self.holder.current) == description and self.holder.desired.ok)

    async def refused(self, code: str) -> None:
        """Wait until what is on disk has a problem with this code."""
        await self.until(lambda: not self.holder.desired.ok and code in self.codes)

    @property
    def codes(self) -> set[str]:
        """The codes of the problems with what is on disk."""
        return {problem.code for problem in self.holder.desired.problems}

    async def stop(self) -> None:
        self._reloader.stop()
        await self._running

    def _note(self, told: str | None) -> None:
        self.told.append(told)
        self._changed.set()


def _shown(generation: Generation) -> str | None:
    router = generation.router("smart")
    return router.description if router is not None else None


def document(description: str, name: str = "smart", **more: str) -> str:
    lines = [f"name: {name}", f"description: {description}", *(f"{key}: {value}" for key, value in more.items())]
    lines += ["designator: {model: sandbox/d}", "candidates:"]
    lines += ["  - {model: sandbox/a, purpose: Code}", "  - {model: sandbox/b, purpose: Text}"]
    return "\n".join([*lines, ""])


def replace(path: Path, text: str) -> None:
    """As an editor or a checkout does: with one rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.rename(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "routers.d"
    folder.mkdir()
    (folder / "smart.yaml").write_text(document("first"))
    (folder / "other.yaml").write_text(document("beside", "other"))
    return folder


class Watch(Protocol):
    def __call__(self, folder: Path, *, rest: float = 0.05) -> Watched: ...


@pytest.fixture(params=POLLS)
async def watch(request: pytest.FixtureRequest) -> AsyncIterator[Watch]:
    opened: list[Watched] = []

    def open(folder: Path, *, rest: float = 0.05) -> Watched:
        opened.append(Watched(folder, polling=request.param == "polling", poll=POLLS[request.param], rest=rest))
        return opened[-1]

    yield open
    for watched in opened:
        await watched.stop()


# --- writing ------------------------------------------------------------------------------------------------------------


async def test_a_rename_over_a_file(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    replace(folder / "smart.yaml", document("second"))
    await watched.shows("second")
    assert watched.told == ["second"]


async def test_writing_in_place(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    (folder / "smart.yaml").write_text(document("second"))
    await watched.shows("second")
    assert watched.told == ["second"]


async def test_a_write_with_a_pause_is_one_reload(watch: Watch, folder: Path) -> None:
    watched = watch(folder, rest=REST_SECONDS)
    text = document("second", purpose="x" * 900)
    with (folder / "smart.yaml").open("w") as file:
        for piece in (text[:950], text[950:]):
            file.write(piece)
            file.flush()
            await asyncio.sleep(0.8 * REST_SECONDS)
    await watched.shows("second")
    assert watched.told == ["second"]


async def test_nothing_but_the_last_state_of_a_burst_matters(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    for number in range(200):
        replace(folder / "smart.yaml", document(f"state {number}"))
        await asyncio.sleep(0.005)
    await watched.shows("state 199")
    assert len(watched.told) <= 5


async def test_many_files_at_once_are_one_reload(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    for number in range(40):
        replace(folder / f"router-{number}.yaml", document("one of many", f"router-{number}"))
    replace(folder / "smart.yaml", document("second"))
    await watched.shows("second")
    assert len(watched.holder.current.policies) == 42
    assert len(watched.told) <= 2


async def test_a_change_that_keeps_size_and_time_is_seen(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    path = folder / "smart.yaml"
    before = path.stat()
    path.write_text(document("third"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    await watched.shows("third")


async def test_what_editors_leave_is_no_change(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    for name in (".smart.yaml.swp", "4913", "smart.yaml~", "#smart.yaml#", ".smart.yaml.tmp", ".other.yaml.swx"):
        (folder / name).write_text("half a docu")
    (folder / "4913").unlink()
    replace(folder / "smart.yaml", document("second"))
    await watched.shows("second")
    assert watched.told == ["second"]


async def test_a_name_in_capitals_is_ignored_with_a_warning(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    (folder / "loud.YAML").write_text("half a docu")
    replace(folder / "more.yml", document("beside", "more"))
    await watched.until(lambda: watched.holder.current.router("more") is not None)
    assert "W402" in watched.codes
    assert watched.holder.desired.ok


# --- refusals -----------------------------------------------------------------------------------------------------------


async def test_a_bad_change_and_its_repair(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    first = watched.holder.current
    replace(folder / "smart.yaml", "name: smart\ncandidtes: []\n")
    await watched.refused("E204")
    assert watched.holder.current is first
    replace(folder / "smart.yaml", document("first"))
    await watched.shows("first")
    assert watched.holder.current is first
    assert watched.told == ["refused", "first"]


async def test_a_file_is_deleted(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    (folder / "smart.yaml").unlink()
    await watched.until(lambda: watched.holder.current.router("smart") is None)
    assert watched.holder.current.router("other") is not None


async def test_a_file_is_deleted_that_another_one_needs(watch: Watch, folder: Path) -> None:
    (folder / "gateway.yaml").write_text(
        "kind: gateway\nproviders: {mine: {wire: openai, base_url: 'http://127.0.0.1:1/v1'}}\n"
    )
    (folder / "smart.yaml").write_text(document("needs mine").replace("sandbox/b", "mine/b"))
    watched = watch(folder)
    (folder / "gateway.yaml").unlink()
    await watched.refused("E303")
    assert _shown(watched.holder.current) == "needs mine"


async def test_all_files_are_deleted(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    for path in folder.iterdir():
        path.unlink()
    await watched.refused("E401")
    assert _shown(watched.holder.current) == "first"
    replace(folder / "smart.yaml", document("back"))
    await watched.shows("back")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _nowhere(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere.yaml"))


def _forbidden(path: Path) -> None:
    path.write_text(document("never read", "strange"))
    path.chmod(0)


@pytest.mark.parametrize(
    "make",
    [
        _fifo,
        _folder,
        _nowhere,
        pytest.param(_forbidden, marks=pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")),
    ],
)
async def test_what_cannot_be_read_refuses_the_whole(watch: Watch, folder: Path, make: Callable[[Path], None]) -> None:
    watched = watch(folder)
    strange = folder / "strange.yaml"
    make(strange)
    replace(folder / "smart.yaml", document("second"))
    await watched.refused("E402")
    assert _shown(watched.holder.current) == "first"
    if strange.is_dir():
        strange.rmdir()
    else:
        strange.unlink()
    await watched.shows("second")


async def test_a_link_out_of_the_folder_is_refused(watch: Watch, folder: Path, tmp_path: Path) -> None:
    watched = watch(folder)
    (tmp_path / "secret.yaml").write_text(document("elsewhere", "elsewhere"))
    (folder / "elsewhere.yaml").symlink_to(tmp_path / "secret.yaml")
    await watched.refused("E403")
    assert watched.holder.current.router("elsewhere") is None


# --- whole folders ------------------------------------------------------------------------------------------------------


async def test_the_folder_is_deleted_and_made_again(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    for description in ("second", "third"):
        shutil.rmtree(folder)
        await watched.refused("E402")
        assert _shown(watched.holder.current) != description
        folder.mkdir()
        (folder / "smart.yaml").write_text(document(description))
        await watched.shows(description)
    # The new folder is watched as the old one was.
    replace(folder / "smart.yaml", document("fourth"))
    await watched.shows("fourth")


async def test_the_folder_is_replaced_by_a_link(watch: Watch, folder: Path, tmp_path: Path) -> None:
    watched = watch(folder)
    target = tmp_path / "target"
    shutil.copytree(folder, target)
    (target / "smart.yaml").write_text(document("second"))
    folder.rename(tmp_path / "old")
    folder.symlink_to(target)
    await watched.shows("second")
    replace(target / "smart.yaml", document("third"))
    await watched.shows("third")


@pytest.mark.parametrize("below", ["", "config/routers"])
async def test_git_sync_points_its_link_to_another_checkout(watch: Watch, tmp_path: Path, below: str) -> None:
    link = tmp_path / "git" / "current"

    def checkout(number: int) -> None:
        place = tmp_path / "git" / "worktrees" / f"commit-{number}"
        (place / below).mkdir(parents=True)
        (place / below / "smart.yaml").write_text(document(f"commit {number}"))
        fresh = link.with_name("fresh")
        fresh.symlink_to(Path("worktrees") / place.name)
        fresh.rename(link)

    checkout(0)
    watched = watch(link / below)
    for number in range(1, 6):
        checkout(number)
        await watched.shows(f"commit {number}")
        shutil.rmtree(tmp_path / "git" / "worktrees" / f"commit-{number - 1}")
    assert watched.told == [f"commit {number}" for number in range(1, 6)]


async def test_a_config_map_is_swapped_twenty_times(watch: Watch, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()

    def swap(number: int) -> None:
        data = mount / f"..2026_{number}"
        data.mkdir()
        (data / "smart.yaml").write_text(document(f"map {number}"))
        (data / "other.yaml").write_text(document(f"map {number}", "other"))
        (mount / "..data_tmp").symlink_to(data.name)
        (mount / "..data_tmp").rename(mount / "..data")
        shutil.rmtree(mount / f"..2026_{number - 1}", ignore_errors=True)

    swap(0)
    for name in ("smart.yaml", "other.yaml"):
        (mount / name).symlink_to(Path("..data") / name)
    watched = watch(mount)
    for number in range(1, 21):
        swap(number)
        await watched.shows(f"map {number}")
        other = watched.holder.current.router("other")
        assert other is not None
        assert other.description == f"map {number}"
    assert len(watched.told) == 20


async def test_a_commit_without_a_change_here_is_seen(folder: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(("git", *identity, *arguments), cwd=folder, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    git("add", ".")
    git("commit", "--message=first")
    watched = Watched(folder, polling=True, poll=0.03)
    first = watched.holder.current
    git("commit", "--allow-empty", "--message=second")
    await watched.until(lambda: watched.holder.current is not first)
    now = watched.holder.current
    assert now.revision == first.revision
    assert now.snapshot.commit != first.snapshot.commit
    assert now.revision_header != first.revision_header
    await watched.stop()


# --- the last good documents --------------------------------------------------------------------------------------------


async def test_a_later_start_on_a_bad_folder_serves_what_was_good(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "last-good"
    running = Watched(folder, kept=kept)
    replace(folder / "smart.yaml", document("second"))
    await running.shows("second")
    replace(folder / "smart.yaml", "name: smart\ncandidtes: []\n")
    await running.refused("E204")
    late = Watched(folder, kept=kept)
    assert _shown(late.holder.current) == "second"
    assert late.holder.current.revision == running.holder.current.revision
    assert late.holder.desired.revision == running.holder.desired.revision
    assert late.codes == running.codes
    replace(folder / "smart.yaml", document("third"))
    await late.shows("third")
    await late.stop()
    await running.stop()


@pytest.mark.parametrize("content", [None, b"", b"\xc1", b"\x93\x01\x02\x03"])
async def test_without_good_documents_a_bad_folder_is_refused(
    folder: Path, tmp_path: Path, content: bytes | None
) -> None:
    kept = tmp_path / "last-good"
    if content is not None:
        kept.write_bytes(content)
    (folder / "smart.yaml").write_text("name: smart\n")
    with pytest.raises(ConfigurationError) as caught:
        Reloader(folder, {}, kept=kept).load()
    assert {problem.code for problem in caught.value.problems} == {"E205"}
