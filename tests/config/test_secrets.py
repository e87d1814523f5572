"""References to secrets; and that no secret is ever printed."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from gateway.config.load import load
from gateway.config.report import render

from .folders import ROUTER, found, gateway, load_texts, router, snapshot_of, write

CANARY = "sk-canary-0123456789abcdefghijklmnop"
CLIENT = "clients: [{{name: a, key: '{}'}}]\n"


def test_a_key_in_a_variable(tmp_path: Path) -> None:
    loaded = load_texts(tmp_path, gateway(CLIENT.format("env:A_KEY")), {"A_KEY": "secret\n"})
    assert snapshot_of(loaded).clients[0].key.reveal() == "secret"


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, "E310"),
        ({"A_KEY": ""}, "E310"),
        ({"A_KEY": "\n"}, "E310"),
        ({"A_KEY": "a\nb"}, "E310"),
        ({"A_KEY": "ä"}, "E310"),
    ],
)
def test_a_variable_that_holds_no_key(tmp_path: Path, environ: dict[str, str], code: str) -> None:
    loaded = load_texts(tmp_path, gateway(CLIENT.format("env:A_KEY")), environ)
    assert found(loaded, tmp_path) == [f"gateway.yaml:2:26 {code} clients[0].key"]


@pytest.mark.parametrize(
    ("data", "mode", "said"),
    [
        (b"secret", 0o600, []),
        (b"secret\n", 0o600, []),
        (b"secret\r\n", 0o600, []),
        (b"secret", 0o644, ["W405"]),
        (b"", 0o600, ["E310"]),
        (b"\n", 0o600, ["E310"]),
        (b"x" * 65_536, 0o600, []),
        (b"x" * 70_000, 0o600, ["E310"]),
        (b"one\ntwo", 0o600, ["E310"]),
        (b" secret", 0o600, ["E310"]),
        (b"\xff\xfe", 0o600, ["E310"]),
    ],
)
def test_a_key_in_a_file(tmp_path: Path, data: bytes, mode: int, said: list[str]) -> None:
    file = tmp_path / "key"
    file.write_bytes(data)
    file.chmod(mode)
    loaded = load_texts(tmp_path / "c", gateway(CLIENT.format(f"file:{file}")))
    assert [problem.code for problem in loaded.problems] == said


def test_a_file_that_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, words in {"missing": "does not exist", "fifo": "a FIFO", ".": "a folder"}.items():
        loaded = load_texts(tmp_path / "c", gateway(CLIENT.format(f"file:{tmp_path / name}")))
        assert found(loaded, tmp_path / "c") == ["gateway.yaml:2:26 E310 clients[0].key"]
        assert words in str(loaded.problems[0])


def test_files_outside_the_secrets_folder(tmp_path: Path) -> None:
    """With the links by which one might get out."""
    inside = tmp_path / "secrets"
    inside.mkdir()
    for file in (inside / "key", tmp_path / "other"):
        file.write_text("secret")
        file.chmod(0o600)
    (inside / "link").symlink_to(tmp_path / "other")
    (inside / "fine").symlink_to(inside / "key")
    environ = {"LLM_RELAY_SECRETS_DIR": f"/nonexistent:{inside}"}
    for path, code in {
        f"{inside}/key": None,
        f"{inside}/fine": None,
        f"{inside}/link": "E311",
        f"{inside}/../other": "E311",
        f"{tmp_path}/other": "E311",
        "../../etc/shadow": "E311",
        "key": "E311",
    }.items():
        loaded = load_texts(tmp_path / "c", gateway(CLIENT.format(f"file:{path}")), environ)
        assert [problem.code for problem in loaded.problems] == ([code] if code else [])


def test_a_relative_path_is_out_of_bounds_everywhere(tmp_path: Path) -> None:
    loaded = load_texts(tmp_path, gateway(CLIENT.format("file:../../etc/shadow")))
    assert found(loaded, tmp_path) == ["gateway.yaml:2:26 E311 clients[0].key"]


@pytest.mark.parametrize(
    "text",
    [
        CLIENT.format(CANARY),
        f"operators: [{{name: a, key: {CANARY}}}]\n",
        f"providers: {{openai: {{api_key: {CANARY}}}}}\n",
        f"providers: {{ollama: {{proxy: 'http://user:{CANARY}@proxy:3128'}}}}\n",
        f"search: {{provider: jina, jina: {{api_key: {CANARY}}}}}\n",
    ],
)
def test_a_literal_secret_is_refused(tmp_path: Path, text: str) -> None:
    loaded = load_texts(tmp_path, gateway(text))
    assert [problem.code for problem in loaded.problems] == ["E309"]


@pytest.mark.parametrize(
    "text",
    [
        router(api_key=CANARY),
        router(name=f"Bearer {CANARY}"),
        router(strategy=CANARY),
        router(kind=CANARY),
        router(fallback=CANARY),
        router(designator=f"{{model: {CANARY}}}"),
        router(designator=f"{{model: {CANARY}/x}}"),
        router(designator=f"{{model: openai/{CANARY}}}"),
        router(tags=f"[' {CANARY}']"),
        router(tests=f"[{{ask: x, expect: {CANARY}}}]"),
        f"{router()}{CANARY}: 1\n",
        f"{router()}x: 1\nx: [{CANARY}\n",
        f"{router()}name: {CANARY}\n",
        f"{CANARY}: &x 1\n",
        CANARY,
        f"kind: gateway\nclients: [{{name: a, key: [{CANARY}]}}]\n",
        f"kind: gateway\nclients: [{{name: a, key: {{{CANARY}: 1}}}}]\n",
        f"kind: gateway\nclients: [{{name: a, key: 'file:{CANARY}'}}]\n",
        f"kind: gateway\nclients: [{{name: a, key: 'env:{CANARY}'}}]\n",
        f"kind: gateway\nproviders: {{{CANARY}: {{wire: openai}}}}\n",
        f"kind: gateway\nproviders: {{a: {{wire: openai, base_url: 'https://u:{CANARY}@x/v1'}}}}\n",
        f"kind: gateway\nproviders: {{a: {{wire: {CANARY}, base_url: 'https://x/{CANARY}'}}}}\n",
        f"kind: gateway\nmodels: {{{CANARY}: {{context: x}}}}\n",
        f"kind: gateway\nmodels: {{openai/{CANARY}: {{context: {CANARY}}}}}\n",
        f"kind: gateway\nallowed_hosts: ['{CANARY} ']\n",
    ],
)
@pytest.mark.parametrize("style", ["text", "json", "github"])
def test_nothing_that_looks_like_a_key_is_ever_printed(tmp_path: Path, text: str, style: str) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": text})
    assert loaded.problems
    assert "0123456789" not in render(loaded.problems, style)


def test_a_snapshot_does_not_print_its_keys(tmp_path: Path) -> None:
    texts = gateway(CLIENT.format("env:A") + "providers: {openai: {api_key: env:B}}\n")
    snapshot = snapshot_of(load_texts(tmp_path, texts, {"A": CANARY, "B": CANARY + "b"}))
    assert "canary" not in repr(snapshot)
    with pytest.raises(TypeError):
        msgspec.json.encode(snapshot)


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"GEMINI_API_KEY": "a"}, "a"),
        ({"GOOGLE_API_KEY": "b"}, "b"),
        ({"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}, "a"),
        ({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "b"}, "b"),
    ],
)
def test_a_built_in_provider_finds_its_key(tmp_path: Path, environ: dict[str, str], key: str) -> None:
    snapshot = snapshot_of(load_texts(tmp_path, {"x.yaml": router(designator="{model: gemini/x}")}, environ))
    found_key = snapshot.providers["gemini"].key
    assert found_key is not None
    assert found_key.reveal() == key


def test_a_built_in_provider_finds_its_key_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret\n")
    file.chmod(0o600)
    environ = {"OPENAI_API_KEY_FILE": str(file), "LLM_RELAY_SECRETS_DIR": "/elsewhere"}
    snapshot = snapshot_of(load_texts(tmp_path / "c", {"x.yaml": ROUTER}, environ))
    assert snapshot.providers["openai"].key is not None


def test_a_missing_key_is_told_once_at_its_first_use(tmp_path: Path) -> None:
    text = router(candidates="[{model: openai/gpt-4o, purpose: p}, {model: openai/gpt-5, purpose: q}]")
    loaded = load_texts(tmp_path, {"a.yaml": text, "b.yaml": text.replace("smart", "other")})
    assert [str(problem) for problem in loaded.problems] == [
        f"{tmp_path}/a.yaml:3:22 candidates[0].model: openai has no key; set OPENAI_API_KEY"
    ]


def test_a_declared_provider_needs_its_key(tmp_path: Path) -> None:
    loaded = load_texts(tmp_path, gateway("providers: {openai: {total: 5m}}\n"))
    assert found(loaded, tmp_path) == ["gateway.yaml:2:21 E310 providers.openai"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/v1", "http://mock:9000/v1", "https://10.0.0.7/v1"])
def test_a_provider_of_ones_own_network_needs_no_key(tmp_path: Path, url: str) -> None:
    texts = gateway(f"providers: {{openai: {{base_url: '{url}'}}}}\n")
    assert snapshot_of(load_texts(tmp_path, texts)).providers["openai"].key is None


def test_where_keys_are_not_required_they_are_warnings(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"r.yaml": router(designator="{model: openai/gpt-4o}"), "g.yaml": "kind: gateway\n" + CLIENT.format("env:A")},
    )
    loaded = load(tmp_path, {}, require_keys=False)
    assert found(loaded, tmp_path) == ["g.yaml:2:26 W406 clients[0].key", "r.yaml:2:21 W406 designator.model"]
    assert len(snapshot_of(loaded).clients[0].key.reveal()) == 64, "nobody can guess what stands in for it"
