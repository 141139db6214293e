"""A pod without a server: all of its real parts, in memory, with a provider and a clock of the test's own."""

from starlette.types import ASGIApp

from chatfleet_api.app import create_app
from chatfleet_api.configuration import Configuration, first_look
from chatfleet_api.health import Health
from chatfleet_api.providers.port import Provider
from chatfleet_api.routes.relay import Relays
from chatfleet_api.services import Services
from chatfleet_api.telemetry import Meter
from support.runs_scripts import loop_clock, make_chat, make_pool, memory_log

HEARTBEAT_SECONDS = 15


class Pod:
    """The application of a pod whose one model, `m`, is answered by `provider`."""

    def __init__(self, provider: Provider, *, capacity: int = 10) -> None:
        log = memory_log()
        self.pool = make_pool(log, capacity=capacity)
        self.chat = make_chat(provider, log=log, pool=self.pool)
        self.meter = Meter("1.2.3")
        self.configuration = Configuration(first_look())
        self.health = Health(pod="pod-1", version="1.2.3", served=self.configuration, clock=loop_clock)
        relays = Relays(lambda: HEARTBEAT_SECONDS, self.meter)
        self.app: ASGIApp = create_app(Services(self.configuration, self.chat, relays, self.health, self.meter))
