"""A client for each topology: one server, sentinels, or a cluster, each with a pool of connections.

The client's defaults are not ours: see `docs/decisions/0301-redis-client.md`.
"""

from contextlib import AsyncExitStack
from typing import Any, Final, TypeAlias, assert_never

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ReadOnlyError

from chatfleet_api.redis.key_positions import KeyPositions
from chatfleet_contract.redis_url import RedisAddress

CONNECTIONS: Final = 6
"""Commands that run at a time, each on a connection of its own (per server of a cluster); more wait for a slot."""
WAITS: Final = 4
"""Writes that wait for replicas at a time, beyond those: a replica that hangs must hold up nothing else."""
LISTENERS: Final = 1
"""Commands that wait in Redis for something to come, beyond those."""
ANSWER_SECONDS: Final = 0.8
"""Longest that a caller waits, for a slot and for the reply together: a request is answered within a second."""
SOCKET_SECONDS: Final = 1.5 * ANSWER_SECONDS
"""After so long without a reply a connection is closed; longer, so that it is not our own lateness either."""

Command: TypeAlias = tuple[str | bytes | int, ...]
CLOSED: Final = RuntimeError
"""What uvloop raises, and the client lets through, for a write to a connection that was reset a moment ago."""


def connect(address: RedisAddress, stack: AsyncExitStack) -> Redis | RedisCluster:
    """Return a client that is closed with `stack`. It connects when it is used."""
    settings = {
        **_settings(),
        **address.tls,
        **address.credentials.arguments(),
        "max_connections": CONNECTIONS + WAITS + LISTENERS,
    }
    client: Redis | RedisCluster
    match address.topology:
        case "sentinel":
            access = {**_settings(), **address.tls, **address.sentinel_credentials.arguments()}
            sentinel = Sentinel(address.hosts, sentinel_kwargs=access)  # type: ignore[no-untyped-call]  # redis-py
            for watcher in sentinel.sentinels:
                stack.push_async_callback(watcher.aclose)
            client = sentinel.master_for(address.service, db=address.database, **settings)
        case "cluster":
            client = RedisCluster(startup_nodes=[ClusterNode(*host) for host in address.hosts], **settings)
            client.commands_parser = KeyPositions()
        case "single":
            ((host, port),) = address.hosts
            client = Redis(host=host, port=port, db=address.database, **settings)
        case _:
            assert_never(address.topology)
    stack.push_async_callback(client.aclose)
    return client


async def call_where(client: Redis | RedisCluster, key: str, command: Command) -> Any:  # noqa: ANN401  # its reply
    """Return the reply to a `command` about `key`, without asking the server where in it the key stands."""
    nodes = {"target_nodes": client.get_node_from_key(key)} if isinstance(client, RedisCluster) else {}
    return await client.execute_command(*command, **nodes)


def _settings() -> dict[str, Any]:
    return {
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": ANSWER_SECONDS,
        "health_check_interval": 15,
        "protocol": 2,  # RESP2: no pushed messages to expect, and every server and proxy speaks it
        "driver_info": None,  # or each new connection costs two more commands
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), 2),
        "retry_on_error": [ReadOnlyError, CLOSED],  # a demoted server still answers; a new connection may find the new
    }
