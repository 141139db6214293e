"""A pod without a server: all of its real parts, in memory, with a provider and a clock of the test's own."""

import asyncio
from itertools import count

from starlette.types import ASGIApp

from chatfleet_api.app import create_app
from chatfleet_api.chat.chat import Chat
from chatfleet_api.configuration import Configuration, first_look
from chatfleet_api.health import Health
from chatfleet_api.providers.port import Provider
from chatfleet_api.routes.relay import Relays
from chatfleet_api.runs.memory import MemoryRunLog
from chatfleet_api.runs.pool import Limits, RunPool
from chatfleet_api.services import Services
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.telemetry import Meter
from support.runs_scripts import EPOCH, OneModel

HEARTBEAT_SECONDS = 15


class Pod:
    """The application of a pod whose one model, `m`, is answered by `provider`."""

    def __init__(self, provider: Provider, *, capacity: int = 10) -> None:
        clock = asyncio.get_running_loop().time
        log = MemoryRunLog(ttl_seconds=3600, clock=clock)
        numbers = count(1)
        self.pool = RunPool(log, Limits(capacity, 600))
        self.sessions = MemorySessionStore(ttl_seconds=3600, clock=clock)
        self.meter = Meter("1.2.3")
        self.configuration = Configuration(first_look())
        self.health = Health(pod="pod-1", version="1.2.3", served=self.configuration, clock=clock)
        self.chat = Chat(
            lambda: OneModel(provider),
            self.pool,
            log,
            self.sessions,
            clock=clock,
            now=lambda: EPOCH,
            new_id=lambda: f"00000000-0000-7000-8000-{next(numbers):012d}",
        )
        relays = Relays(lambda: HEARTBEAT_SECONDS, self.meter)
        self.app: ASGIApp = create_app(Services(self.configuration, self.chat, relays, self.health, self.meter))
