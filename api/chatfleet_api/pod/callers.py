"""Opens what decides who may call, as the configuration has it, and what knows who did."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from chatfleet_api.identity.authentication import Authentication, open_authentication
from chatfleet_api.identity.discovery import fetch_keys
from chatfleet_api.identity.key_uses import KeyUses
from chatfleet_api.pod.configuration import Configuration
from chatfleet_api.redis.client import RedisClient


def authentication_of(configuration: Configuration) -> Authentication:
    """Return the authentication of a pod, which follows its configuration."""
    return open_authentication(
        configuration.live.map(lambda live: live.access),
        partial(fetch_keys, egress=configuration.live.map(lambda live: live.egress)),
        now=lambda: datetime.now(UTC),
        clock=time.monotonic,
    )


@asynccontextmanager
async def open_key_uses(redis: RedisClient | None, authentication: Authentication) -> AsyncGenerator[KeyUses, None]:
    """Yield the last uses of API keys, which are recorded while the block lasts."""
    uses = KeyUses(redis, authentication.keys)
    async with uses.recording():
        yield uses
