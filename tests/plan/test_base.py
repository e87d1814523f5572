"""The configuration to compare with: a folder, or a commit of the repository around it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gateway.plan.base import BaseError, checked_out

#: Nothing of the user's own configuration of git.
GIT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Test"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "test@example.com"),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], env=GIT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A work tree with one commit, tagged v1, in which ``conf/routers.d`` has two files and a folder."""
    top = tmp_path / "repository"
    folder = top / "conf" / "routers.d"
    (folder / "recordings").mkdir(parents=True)
    git(top, "init", "--quiet", "--initial-branch=main")
    (folder / "smart.yaml").write_text("name: smart\n")
    (folder / "recordings" / "smart.yaml").write_text("{}\n")
    (folder / "odd\nname.yaml").write_text("name: odd\n")
    (folder / "link.yaml").symlink_to("/etc/passwd")
    (top / "other.txt").write_text("not ours\n")
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message=first")
    git(top, "tag", "v1")
    (folder / "smart.yaml").write_text("name: changed\n")
    return top


@pytest.mark.parametrize("reference", ["HEAD", "main", "v1", "refs/tags/v1"])
def test_a_commit_as_a_folder(repository: Path, reference: str) -> None:
    with checked_out(reference, repository / "conf" / "routers.d") as base:
        assert (base.name, base.commit, base.missing) == (reference, git(repository, "rev-parse", "HEAD"), False)
        assert base.folder.parts[-2:] == ("conf", "routers.d")
        found = {path.relative_to(base.folder).as_posix() for path in base.folder.rglob("*") if path.is_file()}
        assert found == {"smart.yaml", "recordings/smart.yaml", "odd\nname.yaml"}, "and no link out of the folder"
        assert (base.folder / "smart.yaml").read_text() == "name: smart\n"
    assert not base.folder.exists()
    assert git(repository, "status", "--porcelain") == "M conf/routers.d/smart.yaml", "the work tree is as it was"


def test_the_whole_repository_may_be_the_folder(repository: Path) -> None:
    with checked_out("HEAD", repository) as base:
        assert (base.folder / "other.txt").is_file()


def test_a_folder_reached_through_a_link(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(repository / "conf")
    with checked_out("HEAD", tmp_path / "current" / "routers.d") as base:
        assert (base.folder / "smart.yaml").is_file()


def test_a_folder_that_the_commit_does_not_have(repository: Path) -> None:
    (repository / "new").mkdir()
    with checked_out("HEAD", repository / "new") as base:
        assert base.missing
        assert list(base.folder.iterdir()) == []


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    with checked_out(str(tmp_path), tmp_path / "anything") as base:
        assert (base.folder, base.commit, base.missing) == (tmp_path, None, False)
    assert tmp_path.is_dir()


@pytest.mark.parametrize("reference", ["nowhere", "--help", "-x", "HEAD:conf", "main..v1", "HEAD\nHEAD", "gone/x"])
def test_what_names_no_commit(repository: Path, reference: str) -> None:
    folder = repository / "conf" / "routers.d"
    with pytest.raises(BaseError, match="neither a folder nor a commit"), checked_out(reference, folder):
        pass


def test_outside_of_any_repository(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="not in a git work tree"), checked_out("HEAD", tmp_path):
        pass
