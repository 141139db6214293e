"""How soon connections are taken, on the event loop that pods run on."""

import asyncio
import socket
from contextlib import ExitStack

import uvloop

from chatfleet_api.server.http_server import ACCEPTS, listen, listeners

NEWCOMERS = 64


async def turns_until_all_are_taken(sockets: list[socket.socket]) -> int:
    """Let newcomers wait before a server starts; return the turns of the loop in which it has taken them all."""
    loop = asyncio.get_running_loop()
    taken: list[asyncio.Protocol] = []

    def take() -> asyncio.Protocol:
        taken.append(asyncio.Protocol())
        return taken[-1]

    with ExitStack() as stack:
        for _ in range(NEWCOMERS):
            stack.enter_context(socket.create_connection(sockets[0].getsockname()))
        servers = [await loop.create_server(take, sock=each) for each in sockets]
        turns = 0
        while len(taken) < NEWCOMERS:
            await asyncio.sleep(0)
            turns += 1
        for server in servers:
            server.close()
    return turns


def test_newcomers_do_not_wait_for_one_turn_of_the_loop_each() -> None:
    with listen("127.0.0.1", 0) as serving:
        assert uvloop.run(turns_until_all_are_taken(listeners(serving))) <= 2 * NEWCOMERS / ACCEPTS
