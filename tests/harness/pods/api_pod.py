"""A pod without a server: all of its real parts, in memory, with a provider and a clock of the test's own."""

from starlette.types import ASGIApp

from chatfleet_api.domain.live import Live
from chatfleet_api.pod.configuration import Configuration, local
from chatfleet_api.pod.health import Health, Sources
from chatfleet_api.pod.lifecycle import Lifecycle
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.monitors import LoopHeartbeat, UpstreamMonitor
from chatfleet_api.pod.probes import health_routes
from chatfleet_api.pod.token_rate import TokenRate
from chatfleet_api.providers.provider import Provider
from chatfleet_api.web.app import create_app
from chatfleet_api.web.services import Services
from chatfleet_api.web.stream import SSEStreams
from harness.pods.runs import loop_clock, make_chat, make_pool, memory_log
from harness.upstream.catalogue import registry_of

HEARTBEAT_SECONDS = 15


class Pod:
    """The application of a pod whose one model, `m`, is answered by `provider`."""

    def __init__(self, provider: Provider, *, capacity: int = 10) -> None:
        log = memory_log()
        self.pool = make_pool(log, capacity=capacity)
        self.chat = make_chat(provider, log=log, pool=self.pool)
        self.meter = Meter("1.2.3")
        self.configuration = configuration = Configuration(local(), build=registry_of(self.meter).catalogue)
        self.lifecycle = Lifecycle(loop_clock)
        sources = Sources(
            configuration=configuration,
            streaming=configuration.live.map(lambda live: live.streaming),
            lifecycle=self.lifecycle,
            heartbeat=LoopHeartbeat(self.pool, clock=loop_clock),
            upstreams=UpstreamMonitor(configuration.live_catalogue, clock=loop_clock, rand=lambda low, _: low),
            tokens=TokenRate(self.meter.tokens, clock=loop_clock),
            moves=self.pool,
        )
        self.health = Health(pod="pod-1", version="1.2.3", sources=sources)
        self.services = Services(
            completions=self.chat.completions,
            conversations=self.chat.conversations,
            responses=self.chat.responses,
            joining=self.chat.joining,
            models=self.chat.catalogue,
            streams=SSEStreams(Live.fixed(HEARTBEAT_SECONDS), self.meter),
            on_client_disconnect=configuration.live.map(lambda live: live.conversations.on_client_disconnect),
            version="1.2.3",
            meter=self.meter,
            clock=loop_clock,
            new_id=self.chat.new_id,
            config_digest=lambda: configuration.digest,
            close_connections=lambda: self.lifecycle.leaving or self.pool.near_capacity,
        )
        self.app: ASGIApp = create_app(self.services, routers=[health_routes(self.health, self.meter)])
