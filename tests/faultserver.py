"""A provider that misbehaves exactly as told: a raw TCP server that plays scripts and writes down what it saw.

Every request is read to its end and answered by the next script, a sequence of steps; the last script is repeated::

    async with FaultServer([send(HEAD), chunk(b"Hi"), rst()], [answer(b"{}")]) as server:
        ...                       # dial server.url
        await server.until(lambda: server.open == 0)
        assert server.requests[0].target == "/v1/chat/completions"

A function from the request to its steps serves as well as a list of scripts. Steps are functions of the connection, so
a test can write its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

#: Nothing that a test waits for takes longer, unless it is broken.
PATIENCE = 30.0


@dataclass(frozen=True)
class Request:
    """A request as it was received; ``connection`` counts accepted connections from 0, header names are lower case."""

    connection: int
    head: bytes
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """One connection, for steps."""

    server: FaultServer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Writes, and waits while the other side does not read."""
        if self.writer.is_closing():
            raise ConnectionResetError
        self.writer.write(data)
        self.server.sent += len(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Waits until the other side has closed."""
        while await self.reader.read(1 << 16):
            pass


Step = Callable[[Peer], Awaitable[None]]
Script = Sequence[Step]


def send(data: bytes | str) -> Step:
    """Bytes as they are."""
    raw = data.encode() if isinstance(data, str) else data
    return lambda peer: peer.send(raw)


def chunk(data: bytes | str) -> Step:
    """One chunk of a chunked body."""
    raw = data.encode() if isinstance(data, str) else data
    return send(b"%x\r\n%s\r\n" % (len(raw), raw))


def end() -> Step:
    """The last chunk, without trailers."""
    return send(b"0\r\n\r\n")


def answer(
    body: bytes | str = b"{}",
    status: int = 200,
    headers: Sequence[tuple[str, str]] = (),
    content_type: str = "application/json",
) -> Step:
    """A whole answer with a length."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [("Content-Type", content_type), ("Content-Length", str(len(raw))), *headers]
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return send(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + raw)


def head(content_type: str = "text/event-stream", *, chunked: bool = True, extra: str = "") -> Step:
    """The head of a streamed answer: chunked, or ended by the closed connection. ``extra`` is whole header lines."""
    framing = "Transfer-Encoding: chunked" if chunked else "Connection: close"
    return send(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{framing}\r\n{extra}\r\n")


def drip(data: bytes | str, every: float = 0.001) -> Step:
    """One byte, a pause of ``every`` seconds, and so on."""
    raw = data.encode() if isinstance(data, str) else data

    async def step(peer: Peer) -> None:
        for byte in raw:
            await peer.send(bytes([byte]))
            await asyncio.sleep(every)

    return step


def repeat(times: int, *steps: Step) -> Step:
    """The steps, ``times`` times."""

    async def step(peer: Peer) -> None:
        for _ in range(times):
            for each in steps:
                await each(peer)

    return step


def pause(seconds: float) -> Step:
    """Nothing for a while; where the end of it can be told, use :func:`wait`."""

    async def step(peer: Peer) -> None:
        await asyncio.sleep(seconds)

    return step


def wait(event: asyncio.Event) -> Step:
    """Nothing until the test sets ``event``."""

    async def step(peer: Peer) -> None:
        await event.wait()

    return step


def hang() -> Step:
    """Keeps the connection open and says nothing until the other side closes."""
    return lambda peer: peer.gone()


def fin() -> Step:
    """An orderly close."""

    async def step(peer: Peer) -> None:
        peer.writer.close()
        await peer.writer.wait_closed()

    return step


def rst() -> Step:
    """A reset."""

    async def step(peer: Peer) -> None:
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.writer.transport.abort()

    return step


class FaultServer:
    """Listens on a free port of 127.0.0.1 while its ``async with`` block runs.

    ``greeting`` is played on every new connection before a request is read; ``context`` makes it speak TLS.
    """

    def __init__(
        self,
        *scripts: Script,
        respond: Callable[[Request], Script] | None = None,
        greeting: Script = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Request] = []
        #: Connections that were accepted so far, and those that are open now.
        self.accepted = 0
        self.open = 0
        #: Bytes that steps have written.
        self.sent = 0
        self.port = 0
        self._scripts = list(scripts)
        self._respond = respond or self._next_script
        self._greeting = greeting
        self._context = context
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """The server's root, without a trailing slash."""
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    async def until(self, true: Callable[[], bool]) -> None:
        """Waits until ``true`` is; it is asked again at every request, and when a connection opens or closes."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def refuse(self) -> None:
        """Stops listening: from here on connections are refused. Open ones go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.refuse()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        # Aborted sockets are closed in the next round of the loop.
        await asyncio.sleep(0)

    def _next_script(self, request: Request) -> Script:
        return self._scripts[min(len(self.requests), len(self._scripts)) - 1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(Peer(self, reader, writer)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, peer: Peer) -> None:
        number = self.accepted
        self.accepted += 1
        self.open += 1
        self._changed.set()
        try:
            for step in self._greeting:
                await step(peer)
            while not peer.writer.is_closing():
                request = await _read_request(peer.reader, number)
                self.requests.append(request)
                self._changed.set()
                for step in self._respond(request):
                    await step(peer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            peer.writer.transport.abort()
            self.open -= 1
            self._changed.set()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Request:
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(connection, raw, method, target, headers, body)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """A port whose queue is full: it neither accepts nor refuses."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port
