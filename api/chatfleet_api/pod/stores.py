"""Opens what a pod keeps its runs and conversations in: Redis, or memory when there is none."""

import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from uuid_utils import uuid7

from chatfleet_api.archive.archived import kept_until_archived
from chatfleet_api.archive.keeper import ArchiveKeeper
from chatfleet_api.archive.marks import Marks, writer_key
from chatfleet_api.archive.opening import ArchivedParts, is_archived
from chatfleet_api.chat.accounting import Accounting, ChargeMeter
from chatfleet_api.domain.key_limits import LimitsOfKeys
from chatfleet_api.domain.live import Live
from chatfleet_api.limits.opening import Limiting, open_limits, open_terms
from chatfleet_api.pod.configuration import ConfigurationError
from chatfleet_api.pod.settings import Settings
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.lease import Lease
from chatfleet_api.runs.fleet.interface import Fleet
from chatfleet_api.runs.fleet.redis import RedisFleet
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.opening import open_fleet, open_run_log
from chatfleet_api.sessions.feedback import FeedbackStore
from chatfleet_api.sessions.opening import open_feedback, open_sessions
from chatfleet_api.sessions.store import SessionStore
from chatfleet_api.usage.ledger import Ledger
from chatfleet_api.usage.memory_ledger import MemoryLedger
from chatfleet_api.usage.price_book import live_prices
from chatfleet_api.usage.redis_ledger import RedisLedger, open_redis_ledger
from chatfleet_api.usage.settlement import Settlement
from chatfleet_api.usage.sweep import Sweeper
from chatfleet_api.webhooks.event import Notice
from chatfleet_api.webhooks.outbox import Outbox, open_outbox
from chatfleet_api.webhooks.presence import UserPresence
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import Conversations


class Stores(NamedTuple):
    redis: RedisClient | None
    """None: everything is in memory."""
    log: RunLog
    fleet: Fleet
    sessions: SessionStore
    feedback: FeedbackStore
    ledger: Ledger
    limits: Limiting
    outbox: Outbox | None
    """Queues events for webhooks; None: there is no Redis, and there are no webhooks."""
    presence: UserPresence | None
    """Which users are present; None: there is no Redis, and it does not matter."""
    archive: ArchiveKeeper | None
    """None: there is no Redis, and there is no archive."""
    process: str
    """A name that no other process, before or now, has."""


@asynccontextmanager
async def open_stores(
    settings: Settings, config: Live[RuntimeConfig], keys: Callable[[], LimitsOfKeys], meter: ChargeMeter
) -> AsyncGenerator[Stores, None]:
    """Yield the stores; `keys` are the limits of single API keys, `meter` counts what this pod charges for dead ones.

    Raises `ConfigurationError` for a URL of the environment that is not valid.
    """
    streaming, conversations = config.map(lambda live: live.streaming), config.map(lambda live: live.conversations)
    terms = open_terms(config, live_prices(config), keys)
    wait_replicas = config.map(lambda live: live.redis_wait_replicas or 0)
    pod, clock = f"{settings.pod}/{uuid7()}", time.monotonic
    async with AsyncExitStack() as stack:
        redis = await _open_redis(stack, settings, config())
        ledger = await _open_ledger(stack, redis, pod, conversations)
        outbox = None if redis is None else await stack.enter_async_context(open_outbox(redis, config))
        presence = None if redis is None else await _open_presence(stack, redis, config)
        fleet = await stack.enter_async_context(open_fleet(redis, pod, streaming, clock=clock, rand=random.random))
        if redis is not None and isinstance(fleet, RedisFleet):
            sweeper = Sweeper(redis, pod, live_prices(config), lambda: datetime.now(UTC), meter.charged)
            fleet.before_removal(sweeper.sweep)
        kept = config.map(lambda live: kept_until_archived(live.conversations, archived=is_archived(live)))
        sessions = open_sessions(redis, kept, wait_replicas, clock=clock)
        feedback, archive = open_feedback(redis, sessions), None
        if redis is not None:
            archive = ArchiveKeeper(redis, config, Lease(redis, writer_key(redis), pod, clock=clock), Marks(redis))
            opened = ArchivedParts(redis, config, Marks(redis), archive.available)
            sessions, feedback = opened.sessions(sessions), opened.feedback(feedback)
        yield Stores(
            redis,
            fleet=fleet,
            log=await stack.enter_async_context(
                open_run_log(redis, streaming, conversations, clock=clock, after_end=partial(after_end, ledger, outbox))
            ),
            sessions=sessions,
            feedback=feedback,
            archive=archive,
            ledger=ledger,
            outbox=outbox,
            presence=presence,
            process=pod,
            limits=await stack.enter_async_context(
                open_limits(redis, config, terms, pods=lambda: _pods(fleet), clock=clock)
            ),
        )


async def _open_presence(stack: AsyncExitStack, redis: RedisClient, config: Live[RuntimeConfig]) -> UserPresence:
    presence = UserPresence(redis, config, clock=time.monotonic)
    await stack.enter_async_context(presence.watching())
    return presence


async def _open_ledger(
    stack: AsyncExitStack, redis: RedisClient | None, process: str, conversations: Live[Conversations]
) -> RedisLedger | MemoryLedger:
    if redis is None:
        return MemoryLedger()
    return await stack.enter_async_context(open_redis_ledger(redis, process, lambda: conversations().ttl_seconds))


def after_end(
    ledger: RedisLedger | MemoryLedger, outbox: Outbox | None, settlement: Settlement | None, notice: Notice | None
) -> None:
    """Count a run of a cluster that has ended, and queue its event."""
    if settlement is not None and isinstance(ledger, RedisLedger):
        ledger.add_settlement(settlement)
    if notice is not None and outbox is not None:
        outbox.add(notice)


def _pods(fleet: Fleet) -> int:
    """Return how many pods were alive when they were last seen."""
    details = fleet.details()
    return 1 if details is None else details.pods


async def _open_redis(stack: AsyncExitStack, settings: Settings, config: RuntimeConfig) -> RedisClient | None:
    url = _redis_url(settings, config)
    if url is None:
        return None
    try:
        bundle = config.egress.ca_bundle_file
        return await stack.enter_async_context(open_redis(url, config.namespace, config.deployment, ca_bundle=bundle))
    except ValueError as error:
        raise ConfigurationError(f"the URL of Redis is not valid: {error}") from None


def _redis_url(settings: Settings, config: RuntimeConfig) -> str | Path | None:
    """Return the URL of Redis, or the file that holds it; None when everything is to be kept in memory."""
    if config.redis_url_file is not None:
        return Path(config.redis_url_file)
    return None if settings.redis_url is None else settings.redis_url.get_secret_value()


def accounting(config: Live[RuntimeConfig], stores: Stores, meter: ChargeMeter) -> Accounting:
    """Return what counts the usage of answers in the ledger."""
    return Accounting(ledger=stores.ledger, prices=live_prices(config), now=lambda: datetime.now(UTC), meter=meter)
