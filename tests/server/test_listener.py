"""Silent clients are the kernel's to drop: the option on the listening socket, and that it is inherited."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

from gateway.server.listener import drop_silent_clients
from tests.faultserver import free_port

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
        while accepted(ours) == 0:
            await asyncio.sleep(0)
