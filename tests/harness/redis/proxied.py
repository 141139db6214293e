"""Redis in every way it is run, from Debian's server: single, primary and replica with sentinels, cluster.

Every server stands behind a fault proxy and announces the proxy's address, so that clients, replicas and sentinels all
come that way. Data are kept on disk (append-only file), so that a killed server that starts again has what it had.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis as RedisClient
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from harness.faults.proxy import Proxy
from harness.faults.toxics import BLACKHOLE
from harness.net import LOOPBACK, free_port
from harness.polling import eventually_async
from harness.process import START_SECONDS, Program, awaited, ready
from harness.redis.server import redis_process

SERVICE: Final = "main"
"""Name under which the sentinels watch the primary."""
DOWN_MS: Final = 1_000
"""Silence after which a server counts as down, in milliseconds."""
SENTINELS: Final = 3
NODES: Final = 3
SLOTS: Final = 16_384
"""Of a cluster."""
_ADDRESS: Final = re.compile(r" addr=\S+:(\d+)")
"""In a line of `CLIENT LIST`."""
KEPT: Final = ("appendonly yes", "appendfsync everysec", 'save ""')
"""What a server keeps on disk."""


class Server:
    """One redis-server, or sentinel, and the proxy in front of it."""

    def __init__(self, folder: Path, proxy: Proxy, *lines: str, arguments: tuple[str, ...] = ()) -> None:
        self.port = proxy.to
        """Its own, past the proxy."""
        self.proxy = proxy
        self._folder = folder
        self._arguments = arguments
        self._stack = AsyncExitStack()
        self._program: Program | None = None
        self._lines = lines

    @property
    def program(self) -> Program:
        """The process."""
        if self._program is None:
            raise RuntimeError("start the server first")
        return self._program

    async def start(self) -> None:
        """Start it, or start it again with the data that it had, and wait until it answers."""
        process = redis_process(self._folder, self.port, *self._lines, arguments=self._arguments)
        self._program = program = await self._stack.enter_async_context(awaited(process))
        await ready(program, self._answers, port=self.port)

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        self.program.kill()
        await self.program.ended()

    async def command(self, *words: str | int) -> Any:  # noqa: ANN401  # a reply has the shape of its command
        """Return the reply to a command that is sent past the proxy."""
        async with RedisClient(port=self.port, decode_responses=True, retry=Retry(NoBackoff(), 0)) as client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py's

    async def aclose(self) -> None:
        """End it for good."""
        await self._stack.aclose()

    async def _answers(self) -> bool:
        with suppress(RedisError):
            return bool(await self.command("PING"))
        return False


@dataclass(frozen=True)
class Redis:
    """A running topology."""

    url: str
    """As `redis.urlSecretRef` takes it."""
    servers: tuple[Server, ...]
    sentinels: tuple[Server, ...] = ()

    async def primary(self) -> Server:
        """Return the server that the sentinels take for the primary; without sentinels, the first."""
        for sentinel in self.sentinels:
            with suppress(RedisError):
                _, port = await sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
                return next(server for server in self.servers if server.proxy.port == int(port))
        return self.servers[0]

    async def part(self) -> None:
        """Let nothing reach the replicas any more, over the connections that they have."""
        primary = await self.primary()
        replicas = set(map(int, _ADDRESS.findall(str(await primary.command("CLIENT", "LIST", "TYPE", "replica")))))
        for link in primary.proxy.links:
            if link.server.port in replicas:
                link.faults = BLACKHOLE

    async def in_step(self) -> None:
        """Wait until a replica has all that its primary has, as the sentinels arrange it when a server comes back."""

        async def so() -> bool:
            primary = await self.primary()
            with suppress(RedisError):
                return all([await _in_step(server) for server in self.servers if server is not primary])
            return False

        await eventually_async(so, seconds=START_SECONDS)

    async def promoted(self, before: Server) -> None:
        """Wait until the sentinels say that another server than `before` is the primary."""

        async def changed() -> bool:
            return await self.primary() is not before

        await eventually_async(changed, seconds=START_SECONDS)

    async def promote(self) -> None:
        """Let the sentinels make the replica the primary, as one does for maintenance; return when they say that it is.

        The old primary takes writes for some seconds more, and then loses them.
        """
        before = await self.primary()
        await self.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)
        await self.promoted(before)


@asynccontextmanager
async def open_single(folder: Path) -> AsyncIterator[Redis]:
    """Run one server."""
    async with AsyncExitStack() as stack:
        server = await _data_server(stack, folder / "redis")
        yield Redis(f"redis://{LOOPBACK}:{server.proxy.port}/0", (server,))


@asynccontextmanager
async def open_direct(folder: Path) -> AsyncIterator[Redis]:
    """Run one server that clients reach past its proxy: no busy harness is between them, to pass for an outage."""
    async with open_single(folder) as redis:
        yield Redis(f"redis://{LOOPBACK}:{redis.servers[0].port}/0", redis.servers)


@asynccontextmanager
async def open_sentinel(folder: Path) -> AsyncIterator[Redis]:
    """Run a primary, its replica, and three sentinels of which two must agree."""
    async with AsyncExitStack() as stack:
        primary = await _data_server(stack, folder / "primary")
        replica = await _data_server(stack, folder / "replica", f"replicaof {LOOPBACK} {primary.proxy.port}")
        await eventually_async(partial(_in_step, replica))
        sentinels = [await _sentinel(stack, folder / f"sentinel-{number}", primary) for number in range(SENTINELS)]
        for sentinel in sentinels:
            await eventually_async(partial(_knows_all, sentinel))
        yield Redis(f"redis+sentinel://{_hosts(sentinels)}/{SERVICE}/0", (primary, replica), tuple(sentinels))


@asynccontextmanager
async def open_cluster(folder: Path) -> AsyncIterator[Redis]:
    """Run a cluster of three primaries."""
    async with AsyncExitStack() as stack:
        servers = [await _cluster_server(stack, folder / f"node-{number}") for number in range(NODES)]
        for number, server in enumerate(servers):
            first, beyond = (SLOTS * edge // NODES for edge in (number, number + 1))
            await server.command("CLUSTER", "ADDSLOTSRANGE", first, beyond - 1)
            await servers[0].command("CLUSTER", "MEET", LOOPBACK, server.port, await _bus(server))
        for server in servers:
            await eventually_async(partial(_whole, server))
        yield Redis(f"redis+cluster://{_hosts(servers)}", tuple(servers))


TOPOLOGIES: Final[dict[str, Callable[[Path], AbstractAsyncContextManager[Redis]]]] = {
    "single": open_single,
    "sentinel": open_sentinel,
    "cluster": open_cluster,
}


async def _data_server(stack: AsyncExitStack, folder: Path, *lines: str) -> Server:
    proxy = await stack.enter_async_context(Proxy(free_port()))
    announced = (f"replica-announce-ip {LOOPBACK}", f"replica-announce-port {proxy.port}", "repl-diskless-sync-delay 0")
    return await _started(stack, Server(folder, proxy, *KEPT, *announced, *lines))


async def _cluster_server(stack: AsyncExitStack, folder: Path) -> Server:
    proxy = await stack.enter_async_context(Proxy(free_port()))
    announced = (f"cluster-announce-ip {LOOPBACK}", f"cluster-announce-port {proxy.port}")
    cluster = ("cluster-enabled yes", f"cluster-port {free_port()}", f"cluster-node-timeout {DOWN_MS}")
    return await _started(stack, Server(folder, proxy, *KEPT, *cluster, *announced))


async def _sentinel(stack: AsyncExitStack, folder: Path, primary: Server) -> Server:
    proxy = await stack.enter_async_context(Proxy(free_port()))
    watch = (
        f"sentinel monitor {SERVICE} {LOOPBACK} {primary.proxy.port} {SENTINELS // 2 + 1}",
        f"sentinel down-after-milliseconds {SERVICE} {DOWN_MS}",
        f"sentinel failover-timeout {SERVICE} {3 * DOWN_MS}",
    )
    return await _started(stack, Server(folder, proxy, *watch, arguments=("--sentinel",)))


async def _started(stack: AsyncExitStack, server: Server) -> Server:
    stack.push_async_callback(server.aclose)
    await server.start()
    return server


def _hosts(servers: Sequence[Server]) -> str:
    return ",".join(f"{LOOPBACK}:{server.proxy.port}" for server in servers)


async def _in_step(replica: Server) -> bool:
    """Return whether a replica has all that its primary had."""
    role, *_, link, _ = await replica.command("ROLE")
    return (role, link) == ("slave", "connected")


async def _knows_all(sentinel: Server) -> bool:
    """Return whether a sentinel knows the replica and all other sentinels."""
    replicas = await sentinel.command("SENTINEL", "REPLICAS", SERVICE)
    others = await sentinel.command("SENTINEL", "SENTINELS", SERVICE)
    return len(replicas) == 1 and len(others) == SENTINELS - 1


async def _bus(server: Server) -> int:
    """Return the port on which a node of a cluster talks to the others."""
    found = await server.command("CONFIG", "GET", "cluster-port")
    return int(found["cluster-port"])


async def _whole(server: Server) -> bool:
    """Return whether a node of a cluster sees all slots served."""
    info = str(await server.command("CLUSTER", "INFO"))
    return "cluster_state:ok" in info
