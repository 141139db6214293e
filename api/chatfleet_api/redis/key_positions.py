"""Where the keys are in the commands that pods send to a cluster, so that the client finds the server of each.

By default the client reads all commands that Redis has, each time it connects or the cluster changes: parsing 240
of them in Python holds up the event loop of all streams, and takes most of what connecting computes.
"""

from typing import Final, cast

from redis._parsers import AsyncCommandsParser
from redis.asyncio.cluster import ClusterNode
from typing_extensions import override

SENT: Final = (
    *("del", "exists", "expire", "get", "set"),
    *("hget", "hgetall", "hmget"),
    *("sadd", "scard", "smembers", "srandmember", "srem"),
    *("xadd", "xrange", "xread", "xrevrange"),
    *("zcard", "zrange", "zrem"),
)
"""Commands with keys that pods send outside scripts."""


class KeyPositions(AsyncCommandsParser):
    """The client's table of commands, with those that pods send; for any other it reads all."""

    __slots__ = ()

    @override
    async def initialize(self, node: ClusterNode | None = None) -> None:
        if node is None:
            return await super().initialize()
        self.node = node
        known = await node.execute_command("COMMAND", "INFO", *SENT)
        self.commands = cast("dict[str, int | dict[str, object]]", known)
        return None
