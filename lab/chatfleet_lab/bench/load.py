"""The three shapes of load: one client after another, clients that never pause, and streams that stay open."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from chatfleet_lab.bench.client import Connection, Endpoint, LoadError, TokenTimes
from chatfleet_lab.bench.workload import Workload

RAMP_SECONDS: Final = 0.004
"""Between two streams that are opened, so that they do not beat in step: 1,000 in 4 s."""
BEGIN_SECONDS: Final = 15.0
"""Longest that open streams may take until each has its first token."""


async def one_by_one(target: Endpoint, workload: Workload, *, seconds: float) -> list[int]:
    """Let one client ask for stream after stream; return each one's microseconds to the first token."""
    connection = await target.connect()
    until = asyncio.get_running_loop().time() + seconds
    waited = []
    while asyncio.get_running_loop().time() < until:
        waited.append(await target.stream(connection, workload))
    connection.transport.abort()
    return waited


async def saturate(target: Endpoint, workload: Workload, *, clients: int, seconds: float) -> int:
    """Let clients ask for one stream after another without a pause; return how many came."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def client() -> int:
        connection, count = await target.connect(), 0
        while loop.time() < begun + seconds:
            await target.stream(connection, workload)
            count += 1
        connection.transport.abort()
        return count

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client()) for _ in range(clients)]
    return sum(task.result() for task in tasks)


@asynccontextmanager
async def held(target: Endpoint, workload: Workload, *, streams: int) -> AsyncIterator[TokenTimes]:
    """Hold streams open; yields the times of all as soon as each has begun, and breaks them off at the end."""
    times = TokenTimes()
    connections: list[Connection] = []
    try:
        for _ in range(streams):
            connection = await target.connect(times)
            connections.append(connection)
            connection.begin(await target.api.request(connection, workload))
            await asyncio.sleep(RAMP_SECONDS)
        await _begun(connections)
        yield times
        lost = sum(connection.transport.is_closing() for connection in connections)
        if lost:
            raise LoadError(f"{lost} of {streams} streams ended before their time")
    finally:
        for connection in connections:
            connection.transport.abort()


async def _begun(connections: Sequence[Connection]) -> None:
    try:
        async with asyncio.timeout(BEGIN_SECONDS):
            for connection in connections:
                await connection.begun.wait()
    except TimeoutError:
        begun = sum(connection.begun.is_set() for connection in connections)
        raise LoadError(f"only {begun} of {len(connections)} streams began within {BEGIN_SECONDS:g} s") from None
