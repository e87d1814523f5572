"""Keys in files: changes of theirs are followed though no document changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.load import Loader
from tests.reload.watched import Watched, replace


@pytest.fixture
def key(folder: Path, tmp_path: Path) -> Path:
    """The file with the key of the provider ``own``."""
    key = tmp_path / "key"
    key.write_text("first-key\n")
    key.chmod(0o600)
    provider = f"{{wire: openai, base_url: 'http://127.0.0.1:9/v1', api_key: 'file:{key}'}}"
    (folder / "gateway.yaml").write_text(f"kind: gateway\nproviders: {{own: {provider}}}\n")
    return key


@pytest.fixture
async def watched(folder: Path, key: Path) -> AsyncIterator[Watched]:
    watched = Watched(folder, polling=True, poll=0.03)
    yield watched
    await watched.stop()


def mount(folder: Path, key: Path) -> None:
    for name, text in (("v1", "first-key"), ("v2", "second-key")):
        (folder / name).mkdir()
        (folder / name / "key").write_text(text)
    (folder / "..data").symlink_to("v1")
    key.unlink()
    key.symlink_to("..data/key")


def serving(watched: Watched) -> str:
    """The key that requests are sent with."""
    key = watched.holder.current.snapshot.providers["own"].key
    assert key is not None
    return key.reveal()


async def test_a_key_is_rotated(watched: Watched, key: Path) -> None:
    first = watched.holder.current
    replace(key, "second-key\n")
    await watched.until(lambda: serving(watched) == "second-key")
    assert watched.holder.desired.ok
    assert watched.holder.current.revision == first.revision
    assert watched.told == ["first"]


async def test_a_key_is_rotated_by_a_link_above_it(folder: Path, key: Path, tmp_path: Path) -> None:
    """As Kubernetes does with a mounted Secret: the file's own link stays as it is."""
    mount(tmp_path, key)
    watched = Watched(folder, polling=True, poll=0.03)
    (tmp_path / "..tmp").symlink_to("v2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    await watched.until(lambda: serving(watched) == "second-key")
    await watched.stop()


async def test_a_key_that_goes_takes_nothing_away_and_is_welcome_back(watched: Watched, key: Path) -> None:
    first = watched.holder.current
    (key.parent / key.name).unlink()
    await watched.refused("E310")
    assert serving(watched) == "first-key"
    replace(key, "first-key\n")
    await watched.until(lambda: watched.holder.desired.ok)
    assert watched.holder.current is first
    assert watched.told == ["refused", "first"]


async def test_a_document_that_waited_for_its_key_is_applied_when_it_comes(
    watched: Watched, folder: Path, key: Path
) -> None:
    late = key.with_name("late")
    text = (folder / "gateway.yaml").read_text()
    replace(folder / "gateway.yaml", text.replace(str(key), str(late)))
    await watched.refused("E310")
    late.write_text("late-key")
    await watched.until(lambda: serving(watched) == "late-key")
    assert watched.holder.desired.ok


def test_the_usual_variable_may_name_the_file(folder: Path, tmp_path: Path) -> None:
    """Also of a provider that no document mentions."""
    key = tmp_path / "openai"
    key.write_text("first-key")
    loaded = Loader({"OPENAI_API_KEY_FILE": str(key)}).load(folder)
    assert list(loaded.secret_files) == [str(key)]
