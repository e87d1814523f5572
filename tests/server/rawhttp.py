"""HTTP/1.1 as bytes: what no client library would send, and exactly what comes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.faultserver import PATIENCE

#: Closes the connection once everything before it is answered, so that no test must wait for silence.
LAST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """One response; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(
    path: str,
    body: bytes = b"",
    *headers: str,
    method: str = "POST",
    host: str | None = "localhost",
    length: bool = True,
) -> bytes:
    """A request as bytes, ``headers`` as whole lines; JSON by default, as long as no content type is among them."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    if method == "POST" and not any(header.lower().startswith("content-type") for header in headers):
        lines.append("Content-Type: application/json")
    if length and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    lines += headers
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class _Collector(asyncio.Protocol):
    """Keeps what came, also where the connection ends with a reset."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(None)


async def exchange(port: int, data: bytes, *, seconds: float = PATIENCE) -> bytes:
    """Everything that comes back for ``data`` until the server closes. Raises TimeoutError where it does not."""
    transport, collector = await asyncio.get_running_loop().create_connection(_Collector, "127.0.0.1", port)
    try:
        transport.write(data)
        async with asyncio.timeout(seconds):
            await asyncio.shield(collector.closed)
    finally:
        transport.abort()
    return bytes(collector.received)


async def talk(port: int, data: bytes) -> tuple[list[Answer], bool]:
    """The answers to ``data``, and whether the server ended the connection with the last of them."""
    answers = parse(await exchange(port, data + LAST))
    if answers and answers[-1].body == b"ok\n" and answers[-1].status == 200:
        return answers[:-1], False
    return answers, True


def parse(data: bytes) -> list[Answer]:
    """Responses to requests other than HEAD."""
    answers: list[Answer] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body, data = _unchunked(data)
        else:
            length = int(headers.get("content-length", "0"))
            body, data = data[:length], data[length:]
            assert len(body) == length, "the answer is cut"
        answers.append(Answer(int(first.split(" ")[1]), headers, body))
    return answers


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        piece, data = data[: int(size, 16)], data[int(size, 16) + 2 :]
        if not piece:
            return body, data
        body += piece
