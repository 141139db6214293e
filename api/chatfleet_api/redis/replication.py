"""A write that waits for replicas: WAIT is about what its own connection wrote last."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import RedisClusterException

from chatfleet_api.redis.connect import Command


async def call_together(
    client: Redis | RedisCluster, key: str, command: Command, confirmation: Sequence[Command]
) -> Sequence[Any]:
    """Return the replies to `command` and to `confirmation`, the latter sent on one connection to the server of `key`.

    In a cluster the command goes first, by itself: it is what finds the server when the slot has moved.
    """
    if isinstance(client, RedisCluster):
        reply = await client.execute_command(*command)
        return [reply, *await _on_one_connection(client.get_node_from_key(key), confirmation)]
    pipeline = client.pipeline(transaction=False)
    for each in (command, *confirmation):
        pipeline.execute_command(*each)
    replies: list[Any] = await pipeline.execute()
    return replies


async def _on_one_connection(node: ClusterNode | None, commands: Sequence[Command]) -> Sequence[Any]:
    if node is None:
        raise RedisClusterException("no server has the slot")
    connection = node.acquire_connection()
    try:
        replies = []
        for command in commands:
            await connection.send_command(*command)
            replies.append(await connection.read_response())
    except BaseException:  # cancellation too: an unread reply would answer the next command
        await connection.disconnect()
        raise
    else:
        return replies
    finally:
        node.release(connection)
