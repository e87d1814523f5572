"""Where a provider may be; and what OLLAMA_HOST means."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.urls import BadUrl, Url, check, ollama_host

from .folders import found, gateway, load_texts, snapshot_of


@pytest.mark.parametrize(
    ("url", "text", "own"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1", False),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1", False),
        ("HTTPS://API.Example.com:8443/V1", "https://api.example.com:8443/V1", False),
        ("https://8.8.8.8/v1", "https://8.8.8.8/v1", False),
        ("https://[2606:4700::1111]/v1", "https://[2606:4700::1111]/v1", False),
        ("http://127.0.0.1:9000/v1", "http://127.0.0.1:9000/v1", True),
        ("http://localhost:8000", "http://localhost:8000", True),
        ("http://vllm:8000/v1", "http://vllm:8000/v1", True),
        ("http://10.1.2.3/v1", "http://10.1.2.3/v1", True),
        ("http://192.168.1.1", "http://192.168.1.1", True),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", True),
        ("http://vllm.models.svc/v1", "http://vllm.models.svc/v1", True),
        ("http://vllm.models.svc.cluster.local/v1", "http://vllm.models.svc.cluster.local/v1", True),
        ("http://host.docker.internal:8000", "http://host.docker.internal:8000", True),
        ("http://gpu.local", "http://gpu.local", True),
    ],
)
def test_accepted(url: str, text: str, own: bool) -> None:
    assert check(url) == Url(text, own)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "file:///etc/passwd",
        "gopher://x/",
        "ftp://x/",
        "http://example.com/v1",
        "http://8.8.8.8/v1",
        "http://127.0.0.1.nip.io/",
        "https://user:pass@example.com/",
        "https://user@example.com/",
        "https://example.com/#fragment",
        "https://example.com/?api-version=1",
        "https://example.com/v1\r\n",
        "https://example.com/ v1",
        "https://exa\tmple.com/",
        "https://example.com\\@evil.example/",
        "https://exämple.com/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "https://",
        "https:///v1",
        "https://:443/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://a..b/",
        "https://-a.example/",
        "https://exa%6dple.com/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://0x1ffffffff/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[1.2.3.4]/",
        "https://[2606:4700::1111%25eth0]/",
        "https://" + "a" * 64 + ".example/",
    ],
)
def test_not_a_usable_url(url: str) -> None:
    """E307."""
    with pytest.raises(BadUrl) as refused:
        check(url)
    assert refused.value.code == "E307"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "169.254.169.254.",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "2852039166",
        "169.16689662",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "192.0.0.192",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "metadata",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_never_dialled(host: str, scheme: str) -> None:
    """E308, whatever the provider allows."""
    with pytest.raises(BadUrl) as refused:
        check(f"{scheme}://{host}/latest", allow_private=True)
    assert refused.value.code == "E308"


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[::ffff:10.0.0.1]", "10.0.0.1"),
        ("[fd12:3456::1]", "[fd12:3456::1]"),
        ("100.64.0.1", "100.64.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("198.18.0.1", "198.18.0.1"),
        ("240.0.0.1", "240.0.0.1"),
        ("[::]", "[::]"),
        ("224.0.0.1", "224.0.0.1"),
    ],
)
def test_dialled_only_where_that_is_stated(host: str, meant: str) -> None:
    """E308, unless ``allow_private``; then in its usual form."""
    with pytest.raises(BadUrl) as refused:
        check(f"https://{host}/v1")
    assert refused.value.code == "E308"
    assert check(f"http://{host}/v1", allow_private=True).text == f"http://{meant}/v1"


def test_plain_http_to_a_public_name_can_be_stated_and_to_a_public_address_cannot() -> None:
    assert check("http://llm.corp.example/v1", allow_private=True).text == "http://llm.corp.example/v1"
    with pytest.raises(BadUrl):
        check("http://8.8.8.8/v1", allow_private=True)


def test_the_url_is_not_in_the_words() -> None:
    with pytest.raises(BadUrl) as refused:
        check("https://user:hunter2@example.com/")
    assert "hunter2" not in refused.value.message + refused.value.remedy


@given(st.text(max_size=40), st.booleans())
@settings(max_examples=200, deadline=None)
def test_checking_fails_in_one_way_only(text: str, allow_private: bool) -> None:
    for url in (text, f"https://{text}", f"http://{text}/v1", f"http://[{text}]"):
        with contextlib.suppress(BadUrl):
            checked = check(url, allow_private=allow_private)
            assert checked.text.isascii()
            assert check(checked.text, allow_private=allow_private) == checked


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("base_url: 'file:///etc/passwd'", "2:44 E307 providers.vllm.base_url"),
        ("base_url: 'http://169.254.169.254', allow_private: true", "2:44 E308 providers.vllm.base_url"),
        ("base_url: 'http://0x7f.1'", "2:44 E308 providers.vllm.base_url"),
        ("base_url: 'http://x', proxy: 'socks5://x'", "2:63 E307 providers.vllm.proxy"),
        ("base_url: 'http://x', proxy: 'http://169.254.1.1'", "2:63 E308 providers.vllm.proxy"),
    ],
)
def test_a_bad_url_is_told_at_its_place(tmp_path: Path, entry: str, expected: str) -> None:
    loaded = load_texts(tmp_path, gateway(f"providers: {{vllm: {{wire: openai, {entry}}}}}\n"))
    assert found(loaded, tmp_path) == [f"gateway.yaml:{expected}"]


def test_a_proxy(tmp_path: Path) -> None:
    text = "providers:\n  a: {wire: openai, base_url: 'http://x', proxy: %s}\n"
    plain = load_texts(tmp_path / "a", gateway(text % "'http://proxy.example.com:3128/'"))
    assert snapshot_of(plain).providers["a"].proxy == "http://proxy.example.com:3128"
    secret = load_texts(tmp_path / "b", gateway(text % "env:P"), {"P": "http://u:p@proxy:3128"})
    assert snapshot_of(secret).providers["a"].proxy == "http://u:p@proxy:3128"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("garbage", "E307"),
        ("socks5://u:CANARY@proxy:1080", "E307"),
        ("http://u:CANARY@proxy:99999", "E307"),
        ("http://u:CANARY@169.254.169.254:80", "E308"),
    ],
)
def test_a_proxy_in_a_variable_is_checked_too(tmp_path: Path, address: str, code: str) -> None:
    text = "providers:\n  a: {wire: openai, base_url: 'http://x', proxy: env:P}\n"
    loaded = load_texts(tmp_path, gateway(text), {"P": address})
    assert found(loaded, tmp_path) == [f"gateway.yaml:3:50 {code} providers.a.proxy"]
    assert "CANARY" not in str(loaded.problems)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":56789", "http://127.0.0.1:56789"),
        ("1.2.3.4:56789", "http://1.2.3.4:56789"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://example.com:56789/path/", "https://example.com:56789/path"),
        ("example.com/", "http://example.com:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:80", "http://[::1]:80"),
        ("::1", "http://[::1]:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        (' "gpu:1" ', "http://gpu:1"),
        ("ftp://x", None),
        ("x:port", None),
        ("x:99999", None),
        ("http://gpu 1", None),
        ("gpu:1/a?b", "http://gpu:1/a"),
        ("169.254.169.254", None),
        ("bücher", None),
    ],
)
def test_ollama_host(value: str, url: str | None) -> None:
    assert ollama_host(value) == url


def test_ollama_is_where_its_variable_says(tmp_path: Path) -> None:
    texts = gateway("models: {ollama/qwen3: {context: 5}}\n")
    assert snapshot_of(load_texts(tmp_path, texts)).providers["ollama"].base_url == "http://127.0.0.1:11434"
    elsewhere = load_texts(tmp_path, texts, {"OLLAMA_HOST": "gpu:1234"})
    assert snapshot_of(elsewhere).providers["ollama"].base_url == "http://gpu:1234"
    nowhere = load_texts(tmp_path, texts, {"OLLAMA_HOST": "ftp://x"})
    assert "ollama" not in snapshot_of(nowhere).providers
    used = load_texts(
        tmp_path, {"gateway.yaml": "kind: gateway\nproviders: {ollama: {}}\n"}, {"OLLAMA_HOST": "ftp://x"}
    )
    assert found(used, tmp_path) == ["gateway.yaml:2:21 E307 providers.ollama"]
