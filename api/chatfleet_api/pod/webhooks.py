"""What a pod does for webhooks: queues the events of its runs, and sends those of all pods while it has the lease."""

import asyncio
import os
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from chatfleet_api.chat.announcing import Announcer
from chatfleet_api.chat.user_webhooks import UserWebhooks
from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.domain.live import Live
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.pod.configuration import Configuration
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.stores import Stores
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.lease import Lease
from chatfleet_api.webhooks.delivery import Tools
from chatfleet_api.webhooks.event import HookEvent, Notice
from chatfleet_api.webhooks.outbox import Outbox
from chatfleet_api.webhooks.presence import UserPresence
from chatfleet_api.webhooks.queue import sender_key
from chatfleet_api.webhooks.sender import Sender
from chatfleet_api.webhooks.user_url import problem_of
from chatfleet_api.webhooks.users import RedisUserWebhooks
from chatfleet_contract.runtime import RuntimeConfig


def announcer(outbox: Outbox | None, presence: UserPresence | None) -> Announcer | None:
    """Return what queues the event of a run that ends; None: nothing is kept."""
    if outbox is None:
        return None

    def notice(event: HookEvent) -> Notice | None:
        return outbox.notice(event, left=presence is not None and not presence.is_open(event.owner))

    return Announcer(has_webhooks=outbox.has_webhooks, notice=notice, now=lambda: datetime.now(UTC))


def webhook_sender(configuration: Configuration, stores: Stores, meter: Meter, dispatcher: Dispatcher) -> Sender | None:
    """Return what sends the queued events of all pods; None: there is no Redis."""
    if (redis := stores.redis) is None:
        return None
    tools = Tools(
        pool=ConnectionPool(),
        user_pool=ConnectionPool(),
        user_dialer=lambda egress: Dialer(egress, Source.ELSEWHERE),
        lease=Lease(redis, sender_key(redis), stores.process, clock=time.monotonic),
        meter=meter,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        uniform=random.uniform,
        changed=asyncio.Event(),
        user_inactive=partial(emit_inactive, dispatcher),
    )
    return Sender(redis, configuration.live, tools)


def emit_inactive(dispatcher: Dispatcher, data: Mapping[str, Any]) -> None:
    """Make known that the user of an answer is inactive, by the data of the event for webhooks."""
    facts = {"conversation": data["conversation_id"], "user": data["user_id"]}
    dispatcher.emit(EventKind.USER_INACTIVE, data["tenant"], run=data["run"], model=data["model"], **facts)


def user_webhooks(redis: RedisClient | None, config: Live[RuntimeConfig]) -> UserWebhooks:
    """Return what users change their webhooks with."""
    store = None if redis is None else RedisUserWebhooks(redis)
    return UserWebhooks(
        store,
        config,
        now=lambda: datetime.now(UTC),
        random_bytes=os.urandom,
        problem_of=lambda url: problem_of(url, Egress.of(config().egress)),
    )
