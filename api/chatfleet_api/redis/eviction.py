"""Whether Redis may evict keys, as far as it shows: acknowledged writes would be lost without notice.

The policy is read by INFO, which is allowed where CONFIG is not. Hosted servers may forbid it or leave the policy out.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ResponseError

SAFE: Final = "noeviction"
_POLICY: Final = "maxmemory_policy"


class Eviction(NamedTuple):
    """What is known of the eviction policies of all servers."""

    evicting: tuple[str, ...] = ()
    """Policies that may evict keys."""
    unknown: str | None = None
    """Why the policy of a server is not known."""

    @property
    def refused(self) -> str | None:
        """Why this Redis must not be used."""
        if not self.evicting:
            return None
        return f"Redis may evict keys (maxmemory-policy {', '.join(self.evicting)}); set it to {SAFE}"

    @property
    def warning(self) -> str | None:
        """What could not be checked, and the remedy."""
        if self.unknown is None:
            return None
        return f"maxmemory-policy is unknown: {self.unknown}; make sure that it is {SAFE}, or allow INFO"


async def read_eviction(client: Redis | RedisCluster) -> Eviction:
    """Ask every server for its policy. One that refuses leaves the policy unknown; raises what else fails."""
    try:
        info = await client.execute_command("INFO", "memory")
    except ResponseError as refusal:
        return Eviction(unknown=f"Redis refuses INFO ({refusal})")
    return eviction(info)


def eviction(info: object) -> Eviction:
    """Return what INFO shows: of one server, or of each by its name. Pure."""
    fields = info if isinstance(info, Mapping) else {}
    servers = [server for server in fields.values() if isinstance(server, Mapping)]
    policies = {server.get(_POLICY) for server in ([fields] if _POLICY in fields or not servers else servers)}
    hidden = None in policies
    evicting = sorted(str(policy) for policy in policies - {None, SAFE})
    return Eviction(tuple(evicting), "Redis does not show it in INFO" if hidden else None)
