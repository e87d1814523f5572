"""What the files of a folder can go through while it is watched, with the file system's events and without any."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.reload import REST_SECONDS
from tests.reload.watched import Watch, document, replace, shown
from tests.unprivileged import unprivileged

# --- writing ----------------------------------------------------------------------------------------------------------


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


# --- refusals ---------------------------------------------------------------------------------------------------------


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
    assert shown(watched.holder.current) == "needs mine"


async def test_all_files_are_deleted(watch: Watch, folder: Path) -> None:
    watched = watch(folder)
    for name in ("smart.yaml", "other.yaml"):
        (folder / name).unlink()
    await watched.refused("E401")
    assert shown(watched.holder.current) == "first"
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
        _forbidden,
    ],
)
async def test_what_cannot_be_read_refuses_the_whole(
    watch: Watch, folder: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    watched = watch(folder)
    strange = folder / "strange.yaml"
    with unprivileged(tmp_path):
        make(strange)
        replace(folder / "smart.yaml", document("second"))
        await watched.refused("E402")
        assert shown(watched.holder.current) == "first"
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
