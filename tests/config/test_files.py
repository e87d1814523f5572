"""What belongs to a generation, and the two layouts that replace a folder in one step."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from pathlib import Path

import pytest

from gateway.config import files
from gateway.config.files import fingerprint, read
from tests.unprivileged import unprivileged

from .folders import ROUTER, found, gateway, load_texts, router, snapshot_of, write


def names(folder: Path) -> list[str]:
    return [file.name for file in read(folder).files]


def codes(folder: Path) -> list[str]:
    return [f"{Path(problem.file).name} {problem.code}" for problem in read(folder).problems]


def test_only_documents_of_the_folder_itself_are_read(tmp_path: Path) -> None:
    ignored = [
        ".x.yaml.swp",
        ".x.yaml.tmp",
        ".x.yaml",
        "4913",
        "x.yaml~",
        "#x.yaml#",
        "README.md",
        "REVISION",
        "x.json",
    ]
    write(tmp_path, {**dict.fromkeys(ignored, "?"), "b.yml": "b", "a.yaml": "a", "x.YAML": "x", "y.Yml": "y"})
    write(tmp_path / "examples", {"c.yaml": "c"})
    assert names(tmp_path) == ["a.yaml", "b.yml"]
    assert codes(tmp_path) == ["x.YAML W402", "y.Yml W402"]


def test_entries_that_cannot_be_read_refuse_the_generation_and_never_block(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(ROUTER)
    folder = write(tmp_path / "routers.d", {"good.yaml": ROUTER})
    os.mkfifo(folder / "fifo.yaml")
    (folder / "folder.yaml").mkdir()
    (folder / "dangling.yaml").symlink_to("nowhere")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "passwd.yaml").symlink_to("/etc/passwd")
    (folder / "up.yaml").symlink_to("../outside.yaml")
    (folder / "device.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(folder / "socket.yaml"))
    (folder / "inside.yml").symlink_to("good.yaml")
    assert codes(folder) == [
        "dangling.yaml E402",
        "device.yaml E403",
        "fifo.yaml E402",
        "folder.yaml E402",
        "loop.yaml E402",
        "passwd.yaml E403",
        "socket.yaml E402",
        "up.yaml E403",
    ]
    assert names(folder) == ["good.yaml", "inside.yml"]
    assert fingerprint(folder) == fingerprint(folder)


def test_a_file_without_permission(tmp_path: Path) -> None:
    write(tmp_path, {"x.yaml": ROUTER})
    (tmp_path / "x.yaml").chmod(0)
    with unprivileged(tmp_path):
        assert codes(tmp_path) == ["x.yaml E402"]


@pytest.mark.parametrize("path", ["missing", "file"])
def test_a_folder_that_is_none(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    assert codes(tmp_path / path) == [f"{path} E402"]
    assert fingerprint(tmp_path / path)


def test_an_empty_generation_is_refused_unless_that_is_allowed(tmp_path: Path) -> None:
    assert found(load_texts(tmp_path, {}), tmp_path) == [".:1:1 E401"]
    assert found(load_texts(tmp_path, {"g.yaml": "kind: gateway\n"}), tmp_path) == [".:1:1 E401"]
    assert snapshot_of(load_texts(tmp_path, {"g.yaml": "kind: gateway\nallow_empty: true\n"})).routers == {}


def test_too_many_files(tmp_path: Path) -> None:
    write(tmp_path, {f"{index}.yaml": "x" for index in range(4)})
    assert codes(tmp_path) == []
    assert [problem.code for problem in read(tmp_path, max_files=3).problems] == ["E110"]
    assert read(tmp_path, max_files=3).files == ()


def test_a_strange_name_is_printed_on_one_line(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/a\n\xff\x1b.yaml"
    Path(os.fsdecode(raw)).write_text("[")
    assert [problem.file for problem in load_texts(tmp_path, {}).problems] == [f"{tmp_path}/a\\x0a\\udcff\\x1b.yaml"]


def test_a_content_digest_is_over_names_and_bytes(tmp_path: Path) -> None:
    one = write(tmp_path / "1", {"a.yaml": "xy", "b.yaml": ""})
    digests = {
        read(one).digest,
        read(write(tmp_path / "2", {"a.yaml": "x", "b.yaml": "y"})).digest,
        read(write(tmp_path / "3", {"a.yaml": "xy"})).digest,
        read(write(tmp_path / "4", {"a.yaml": "xy", "c.yaml": ""})).digest,
        read(tmp_path / "none").digest,
    }
    assert len(digests) == 5
    assert read(write(tmp_path / "5", {"b.yaml": "", "a.yaml": "xy", ".hidden": "z"})).digest == read(one).digest
    assert read(one).revision == read(one).digest[:12]


def test_a_content_change_is_seen_whatever_the_times_say(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "x"})
    times = os.stat(tmp_path / "a.yaml")
    before = read(tmp_path)
    write(tmp_path, {"a.yaml": "y"})
    os.utime(tmp_path / "a.yaml", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read(tmp_path).digest != before.digest


def test_what_a_fingerprint_sees(tmp_path: Path) -> None:
    seen = [fingerprint(tmp_path)]

    def look() -> None:
        seen.append(fingerprint(tmp_path))

    write(tmp_path, {"a.yaml": "x"})
    look()
    write(tmp_path, {"a.yaml": "xy"})
    look()
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    look()
    (tmp_path / "b.yaml").unlink()
    (tmp_path / "b.yaml").symlink_to("nowhere")
    look()
    write(tmp_path, {"REVISION": "abc"})
    look()
    write(tmp_path, {"README.md": "x", ".a.yaml.swp": "x"})
    assert fingerprint(tmp_path) == seen[-1]
    (tmp_path / "a.yaml").unlink()
    look()
    assert len(set(seen)) == len(seen)


# --- a Kubernetes ConfigMap -----------------------------------------------------------------------------------------


def mount(folder: Path, version: str, texts: dict[str, str]) -> None:
    """What kubelet's atomic writer does to change a mounted ConfigMap."""
    write(folder / version, texts)
    (folder / "..data_tmp").symlink_to(version)
    os.replace(folder / "..data_tmp", folder / "..data")
    for name in texts:
        if not os.path.lexists(folder / name):
            (folder / name).symlink_to(f"..data/{name}")


def test_a_config_map_is_read_from_the_folder_behind_its_link(tmp_path: Path) -> None:
    mount(tmp_path, "..2026_1", {"a.yaml": ROUTER, "b.yaml": router(name="b")})
    tree = read(tmp_path)
    assert [file.name for file in tree.files] == ["a.yaml", "b.yaml"]
    assert tree.problems == ()
    before = fingerprint(tmp_path)
    mount(tmp_path, "..2026_2", {"a.yaml": router(name="new")})
    assert fingerprint(tmp_path) != before
    tree = read(tmp_path)
    assert [file.name for file in tree.files] == ["a.yaml"], "the link of b.yaml is still there, and leads nowhere"
    assert b"new" in tree.files[0].data


def test_regular_files_beside_a_config_map_are_read_too(tmp_path: Path) -> None:
    mount(tmp_path, "..2026_1", {"a.yaml": ROUTER})
    write(tmp_path, {"extra.yaml": router(name="b")})
    assert names(tmp_path) == ["a.yaml", "extra.yaml"]


def test_equal_content_has_one_revision_in_every_layout(tmp_path: Path) -> None:
    mount(tmp_path / "map", "..2026_1", {"a.yaml": ROUTER})
    write(tmp_path / "plain", {"a.yaml": ROUTER})
    (tmp_path / "link").symlink_to("plain")
    assert len({read(tmp_path / layout).revision for layout in ("map", "plain", "link")}) == 1


# --- git-sync -------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_a_link_is_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "worktrees/one/routers.d", {"a.yaml": ROUTER})
    write(tmp_path / "worktrees/two/routers.d", {"a.yaml": router(name="two")})
    (tmp_path / "current").symlink_to("worktrees/one")
    folder = tmp_path / "current/routers.d"
    before = fingerprint(folder)
    assert list(snapshot_of(load_texts(folder, {})).routers) == ["smart"]
    (tmp_path / "next").symlink_to("worktrees/two")
    os.replace(tmp_path / "next", tmp_path / "current")
    assert fingerprint(folder) != before
    loaded = load_texts(folder, {})
    assert list(snapshot_of(loaded).routers) == ["two"]


# --- commits --------------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_commit_from_a_revision_file(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": ROUTER, "REVISION": f"{COMMIT}\n"})
    assert load_texts(tmp_path, {}).commit == COMMIT
    assert load_texts(tmp_path, {}, {"LLM_RELAY_COMMIT": "v1.2"}).commit == "v1.2"
    assert load_texts(tmp_path, {}, {"LLM_RELAY_COMMIT": "not\r\na header"}).commit == COMMIT
    write(tmp_path, {"REVISION": "ä header?\n"})
    assert load_texts(tmp_path, {}).commit is None


@pytest.mark.parametrize(
    "layout",
    [
        {"HEAD": COMMIT + "\n"},
        {"HEAD": "ref: refs/heads/main\n", "refs/heads/main": COMMIT + "\n"},
        {"HEAD": "ref: refs/heads/main\n", "packed-refs": f"# pack-refs with: peeled\n{COMMIT} refs/heads/main\n"},
    ],
)
def test_a_commit_from_a_work_tree(tmp_path: Path, layout: dict[str, str]) -> None:
    for name, text in layout.items():
        write((tmp_path / ".git" / name).parent, {Path(name).name: text})
    assert load_texts(tmp_path / "deploy/routers.d", {"a.yaml": ROUTER}).commit == COMMIT


def test_a_commit_from_a_linked_work_tree(tmp_path: Path) -> None:
    """As git-sync lays it out: ``.git`` is a file, and references are kept by the main repository."""
    write(tmp_path / "repo/.git/worktrees/one", {"HEAD": "ref: refs/heads/main\n", "commondir": "../..\n"})
    write(tmp_path / "repo/.git/refs/heads", {"main": COMMIT + "\n"})
    write(tmp_path / "tree", {".git": "gitdir: ../repo/.git/worktrees/one\n"})
    assert load_texts(tmp_path / "tree/routers.d", {"a.yaml": ROUTER}).commit == COMMIT


@pytest.mark.parametrize(
    "layout",
    [{}, {"HEAD": "nonsense"}, {"HEAD": "ref: ../../etc/passwd"}, {"HEAD": "ref: refs/heads/unborn"}],
)
def test_no_commit(tmp_path: Path, layout: dict[str, str]) -> None:
    write(tmp_path / ".git", layout)
    assert load_texts(tmp_path / "routers.d", {"a.yaml": ROUTER}).commit is None


# --- one moment -----------------------------------------------------------------------------------------------------


LETTERS = "abcdefgh"
VERSIONS = [{f"{letter}.yaml": router(name=f"{letter}-{version}") for letter in LETTERS} for version in ("one", "two")]


def swap_git_sync(root: Path, folder: Path, version: int) -> None:
    link = root / "next"
    link.symlink_to(f"version-{version}")
    os.replace(link, folder)


def swap_config_map(root: Path, folder: Path, version: int) -> None:
    link = folder / "..data_tmp"
    link.symlink_to(f"..version-{version}")
    os.replace(link, folder / "..data")


@pytest.mark.parametrize("layout", ["git-sync", "config map"])
def test_a_tree_is_of_one_version_while_another_thread_swaps_them(tmp_path: Path, layout: str) -> None:
    """What was read is one of the two versions as a whole, or a problem says that the folder never rested."""
    folder = tmp_path / "current"
    swap = swap_git_sync
    if layout == "config map":
        swap = swap_config_map
        mount(folder, "..version-1", VERSIONS[1])
        mount(folder, "..version-0", VERSIONS[0])
    else:
        for index, texts in enumerate(VERSIONS):
            write(tmp_path / f"version-{index}", texts)
        folder.symlink_to("version-0")
    done = threading.Event()

    def keep_swapping() -> None:
        for version in itertools.cycle((1, 0)):
            if done.is_set():
                break
            swap(tmp_path, folder, version)

    thread = threading.Thread(target=keep_swapping)
    thread.start()
    try:
        trees = [read(folder) for _ in range(60)]
    finally:
        done.set()
        thread.join()
    whole = [{text.encode() for text in texts.values()} for texts in VERSIONS]
    for tree in trees:
        assert {file.data for file in tree.files} in whole or [problem.code for problem in tree.problems]
    assert {file.data for file in read(folder).files} in whole


def test_limits_are_those_of_the_documentation() -> None:
    assert (files.MAX_FILES, files.MAX_BYTES) == (5_000, 1_048_576)


def test_files_of_other_documents_do_not_matter(tmp_path: Path) -> None:
    assert snapshot_of(load_texts(tmp_path, {**gateway(""), "notes.txt": "x"})).routers
