"""What is done to the sockets that the server keeps to itself."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

from gateway.server.listener import drop_silent_clients, hang_up
from tests.faultserver import PATIENCE, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the option is Linux's")


def accepted(listener: socket.socket) -> int:
    """The option's value, in milliseconds, of a connection that ``listener`` accepts now."""
    with socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


async def test_connections_inherit_it_and_other_sockets_are_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as other:
        before = len(os.listdir("/proc/self/fd"))
        drop_silent_clients(ours.getsockname()[1], 7)
        assert accepted(ours) == 7000
        assert accepted(other) == 0
        assert len(os.listdir("/proc/self/fd")) == before


async def test_it_waits_for_a_socket_that_is_not_open_yet() -> None:
    port = free_port()
    drop_silent_clients(port, 7)
    with socket.create_server(("127.0.0.1", port)) as ours:
        async with asyncio.timeout(PATIENCE):
            # Connecting blocks the loop, whose timer is what must come round.
            while accepted(ours) == 0:  # noqa: ASYNC110 - nothing tells of a socket's option
                await asyncio.sleep(0)


async def test_hanging_up_closes_connections_and_leaves_listeners_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as other:
        clients = [socket.create_connection(listener.getsockname()) for listener in (ours, other)]
        connections = [listener.accept()[0] for listener in (ours, other)]
        hang_up(ours.getsockname()[1])
        assert clients[0].recv(1) == b""
        connections[1].send(b"x")
        assert clients[1].recv(1) == b"x"
        assert accepted(ours) == 0
        for each in (*clients, *connections):
            each.close()
