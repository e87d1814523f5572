"""A watched folder that is replaced as a whole, and what a worker serves that starts on a bad one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.config.model import Snapshot
from gateway.config.problems import Problem
from gateway.reload import ConfigurationError, Reloader
from tests.reload.watched import Watch, Watched, document, replace, shown


def _make(folder: Path, description: str) -> None:
    folder.mkdir()
    (folder / "smart.yaml").write_text(document(description))


async def test_the_folder_is_deleted_and_made_again(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    for description in ("second", "third"):
        shutil.rmtree(folder)
        await watched.refused("E402")
        assert shown(watched.holder.current) != description
        _make(folder, description)
        await watched.shows(description)
    # The new folder is watched as the old one was.
    replace(folder / "smart.yaml", document("fourth"))
    await watched.shows("fourth")


async def test_the_folder_is_replaced_by_a_link(watch: Watch, folder: Path, tmp_path: Path) -> None:
    watched = watch(folder)
    target = tmp_path / "target"
    _make(target, "second")
    os.rename(folder, tmp_path / "old")
    os.symlink(target, folder)
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


# --- the last good documents ------------------------------------------------------------------------------------------


async def test_a_later_start_on_a_bad_folder_serves_what_was_good(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "last-good"
    running = Watched(folder, kept=kept)
    replace(folder / "smart.yaml", document("second"))
    await running.shows("second")
    replace(folder / "smart.yaml", "name: smart\ncandidtes: []\n")
    await running.refused("E204")
    late = Watched(folder, kept=kept)
    assert shown(late.holder.current) == "second"
    assert late.holder.current.revision == running.holder.current.revision
    assert late.holder.desired.revision == running.holder.desired.revision
    assert late.codes == running.codes
    replace(folder / "smart.yaml", document("third"))
    await late.shows("third")
    await late.stop()
    await running.stop()


async def test_a_defect_on_the_way_does_not_look_like_success(folder: Path) -> None:
    def check(snapshot: Snapshot) -> tuple[Problem, ...]:
        if snapshot.routers["smart"].description == "explosive":
            raise ZeroDivisionError
        return ()

    watched = Watched(folder, check=check)
    first = watched.holder.current
    replace(folder / "smart.yaml", document("explosive"))
    await watched.until(lambda: not watched.holder.desired.ok)
    assert watched.holder.current is first
    replace(folder / "smart.yaml", document("first"))
    await watched.shows("first")
    assert watched.told == ["refused", "first"]
    assert watched.holder.current is first
    await watched.stop()


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
