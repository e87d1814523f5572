"""Where a provider may be: checks of base URLs, without any look-up.

A configuration decides whom the gateway dials with its keys, so that a URL is read as strictly as resolvers read it
loosely: ``0x7f.1`` and ``2130706433`` are 127.0.0.1 to them (the WHATWG URL standard's IPv4 parser describes the
forms). Names are not resolved here; what they resolve to is their network's business.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABELS = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
#: A host in brackets or without, and a port.
_AUTHORITY = re.compile(r"(?:\[[^\[\]]+\]|[^\[\]:]+)(?::[0-9]{1,5})?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")

#: Never dialled: link-local addresses and the clouds' metadata services.
_FORBIDDEN = [
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local, RFC 3927; metadata at 169.254.169.254 nearly everywhere
        "fe80::/10",  # link-local, RFC 4291
        "fd00:ec2::254/128",  # AWS
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
    )
]
_FORBIDDEN_NAMES = {
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
}
#: One's own machine and one's own network (RFC 1918), written on purpose.
_OWN = [
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
]
#: IPv6 ranges that hold an IPv4 address, with the bits to its right: mapped, compatible, NAT64 (RFC 6052, RFC 8215)
#: and 6to4 (RFC 3056).
_EMBEDDING = [
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b:1::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
]
#: Domains that no public resolver knows (RFC 6761, RFC 6762, RFC 8375) and those of cluster networks.
_OWN_DOMAINS = (".localhost", ".internal", ".local", ".home.arpa", ".lan", ".test", ".svc", ".cluster.local")


class BadUrl(Exception):
    """Why a URL cannot be used; the URL itself is not told, since it may hold a password."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy


class Url(NamedTuple):
    """A URL that may be dialled."""

    #: Without a trailing slash, numeric hosts in their usual spelling.
    text: str
    #: Whether the host is in one's own network, where a service may need no key and TLS is not asked for.
    own: bool


class _Host(NamedTuple):
    text: str
    own: bool
    #: A public address, written as such: nobody can state that it is private.
    public: bool


def check(url: str, *, allow_private: bool = False, plain: bool = False) -> Url:
    """A provider's base URL. Raises BadUrl with E307 or E308.

    ``allow_private`` accepts reserved ranges, addresses in disguise, and plain http to any name. ``plain`` accepts
    http to everybody, as one speaks to a proxy.
    """
    parts = _split(url)
    host = _host(parts, allow_private)
    if parts.scheme == "http" and not plain and not host.own and (host.public or not allow_private):
        raise BadUrl("E307", "plain http to a public host", "use https: keys and prompts would travel in the clear")
    port = f":{parts.port}" if parts.port is not None else ""
    return Url(f"{parts.scheme}://{host.text}{port}{parts.path.rstrip('/')}", host.own)


def _split(url: str) -> SplitResult:
    example = "write https://host/path"
    # urlsplit drops line breaks and tabs without a word, and browsers read a backslash as a slash.
    if not url or not all("!" <= c <= "~" for c in url) or "\\" in url:
        raise BadUrl("E307", "the URL has a character that no URL has", example)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl("E307", "the URL's host or port is impossible", example) from None
    if parts.scheme not in ("http", "https"):
        raise BadUrl("E307", "the URL is neither http nor https", example)
    if "@" in parts.netloc:
        raise BadUrl("E307", "the URL holds credentials", "remove them; a key goes into api_key: env:NAME")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise BadUrl("E307", "the URL has a query or a fragment", "end it with its path")
    if not _AUTHORITY.fullmatch(parts.netloc) or not parts.hostname or port == 0:
        raise BadUrl("E307", "the URL has no possible host and port", example)
    return parts


def _host(parts: SplitResult, allow_private: bool) -> _Host:
    name = (parts.hostname or "").lower()
    address, disguised = _address(name, bracketed="[" in parts.netloc)
    if address is None:
        plain = name.removesuffix(".")
        if not _LABELS.fullmatch(plain) or len(plain) > 253:
            raise BadUrl("E307", "the URL's host is not a possible name", "write international names in punycode")
        if plain in _FORBIDDEN_NAMES:
            raise _reserved("the host is a cloud metadata service", never=True)
        own = "." not in plain or f".{plain}".endswith(_OWN_DOMAINS)
        return _Host(name, own, public=False)
    if _within(address, _FORBIDDEN):
        raise _reserved("the host is a link-local or metadata address", never=True)
    own = _within(address, _OWN)
    public = address.is_global and not address.is_multicast
    if disguised and not allow_private:
        raise _reserved(f"the host is {address} in disguise")
    if not own and not public and not allow_private:
        raise _reserved(f"{address} is in a reserved range")
    text = f"[{address}]" if address.version == 6 else str(address)
    return _Host(text, own or not public, public)


def _reserved(message: str, *, never: bool = False) -> BadUrl:
    remedy = "such addresses are never dialled" if never else "write its usual form, or set 'allow_private: true'"
    return BadUrl("E308", message, remedy)


def _address(name: str, *, bracketed: bool) -> tuple[_Address | None, bool]:
    """The address that ``name`` is, if it is one, and whether it is written in an unusual way."""
    if bracketed:
        try:
            address = ipaddress.IPv6Address(name)
        except ValueError:
            raise BadUrl("E307", "the URL's host is not a possible address", "write [address]") from None
        inner = _embedded(address)
        if address.scope_id is not None and not _within(inner or address, _FORBIDDEN):
            raise BadUrl("E307", "the URL's host has a zone", "remove the zone")
        return (inner, True) if inner is not None else (address, False)
    labels = name.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(labels[-1]):
        return None, False
    found = _ipv4(labels)
    if found is None:
        raise BadUrl("E307", "the URL's host is not a possible address", "write four numbers from 0 to 255")
    return found, str(found) != name


def _ipv4(labels: list[str]) -> ipaddress.IPv4Address | None:
    """Up to four numbers, decimal, octal (0…) or hexadecimal (0x…), of which the last fills what is left."""
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) for label in labels):
        return None
    try:
        numbers = [
            int(label[2:] or "0", 16) if label.startswith("0x") else int(label, 8 if label[0] == "0" else 10)
            for label in labels
        ]
    except ValueError:
        return None
    *head, last = numbers
    if any(number > 255 for number in head) or last >= 256 ** (4 - len(head)):
        return None
    value = last
    for index, number in enumerate(head):
        value += number << (8 * (3 - index))
    return ipaddress.IPv4Address(value)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if int(address) < 2:
        return None
    for network, shift in _EMBEDDING:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return None


def _within(address: _Address, networks: list[_Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def ollama_host(text: str) -> str | None:
    """The URL that Ollama's own clients make of ``OLLAMA_HOST``; None where they would fail.

    Forms and defaults after envconfig.Host in ollama/ollama: ``host``, ``:port``, ``host:port``, ``scheme://host``,
    each with a path; port 11434 without a scheme, else the scheme's. As a client one cannot dial 0.0.0.0 or ::,
    which servers are given to listen on: loopback is meant.
    """
    text = text.strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if scheme not in ("http", "https"):
        return None
    default = {"http": 80, "https": 443}[scheme] if separator else 11434
    if rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port or default
    except ValueError:
        return None
    host = parts.hostname or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    if ":" in host:
        host = f"[{host}]"
    url = f"{scheme}://{host}:{port}{parts.path.rstrip('/')}"
    try:
        check(url, allow_private=True, plain=True)
    except BadUrl:
        return None
    return url
