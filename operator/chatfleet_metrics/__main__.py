"""`python -m chatfleet_metrics`: the composition root, from settings to a served and registered API."""

import gc

if __name__ == "__main__":
    gc.disable()  # while modules are imported: imports leave no garbage, and looking for it takes a tenth of the start

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics

from chatfleet_contract import names
from chatfleet_metrics.apiserver.authentication import TokenAuthenticator
from chatfleet_metrics.apiserver.authorization import Authorization
from chatfleet_metrics.apiserver.on_demand import OnDemand, OwnDeployment
from chatfleet_metrics.apiserver.registration import Endpoint, Registration
from chatfleet_metrics.apiserver.server import MetricsAPI
from chatfleet_metrics.apiserver.tls import ServerTLS
from chatfleet_metrics.apiserver.trust_rotation import TrustRotation
from chatfleet_metrics.apiserver.ttl_cache import TTLCache
from chatfleet_metrics.demand import CHATDEPLOYMENTS, Demand
from chatfleet_metrics.samples.pods import API_PODS
from chatfleet_metrics.samples.scrape import HttpFetch, Scraper, open_session
from chatfleet_metrics.samples.store import SampleStore
from chatfleet_metrics.settings import PREFIX, Settings
from chatfleet_metrics.telemetry import Telemetry
from chatfleet_operator.kube import Connection, Reflector, connect
from chatfleet_operator.model.errors import ClusterError
from chatfleet_operator.model.values import Ref
from chatfleet_operator.process.health import LoopHeartbeat, health_app, serve
from chatfleet_operator.process.settings import BadSettings, read
from chatfleet_operator.process.telemetry import set_up_logging

PROGRAM: Final = names.METRICS_APISERVER

DRAIN_SECONDS: Final = 5.0
"""How long the API is served after SIGTERM: until then the API server may still send requests here."""


def utc_now() -> datetime:
    return datetime.now(UTC)


async def run(connection: Connection, settings: Settings, telemetry: Telemetry, heartbeat: LoopHeartbeat) -> None:
    """Watch, scrape, register and serve until cancelled."""
    clock = asyncio.get_running_loop().time
    store = SampleStore(settings.period_seconds, clock)
    service = Ref(settings.namespace, settings.service)
    registration = Registration(connection, Endpoint(service, settings.service_port, settings.owner), telemetry)
    demand = Demand(clock)
    own = OwnDeployment(connection, Ref(settings.namespace, settings.deployment))
    on_demand = OnDemand(registration, own, demand, settings.replicas, settings.hold_seconds)
    trust = TrustRotation(
        connection,
        secret=Ref(settings.namespace, settings.secret),
        host=f"{service.name}.{service.namespace}.svc",
        register=on_demand.reconcile if settings.deployment else registration.reconcile,
        now=utc_now,
        tls=ServerTLS(),
    )
    telemetry.certificate(lambda: trust.tls.expiry)
    api = MetricsAPI(
        source=store,
        tokens=TokenAuthenticator(connection, TTLCache(clock)),
        authorization=Authorization(connection, TTLCache(clock)),
        trust=lambda: trust.trust,
        now=utc_now,
        metrics=telemetry,
    )
    synced = asyncio.Event()

    def ready_after_cycle() -> None:
        if trust.is_loaded:
            heartbeat.started.set()

    async with open_session() as session, _served(api, settings.port, trust.tls), asyncio.TaskGroup() as group:
        group.create_task(_beat(heartbeat))
        group.create_task(Reflector(connection, API_PODS, store, synced.set).run())
        if settings.deployment:
            group.create_task(Reflector(connection, CHATDEPLOYMENTS, demand, lambda: None).run())
        group.create_task(trust.run(heartbeat.started.is_set))
        await synced.wait()
        await Scraper(HttpFetch(session), store, telemetry).run(ready_after_cycle)


async def _beat(heartbeat: LoopHeartbeat) -> None:
    while True:
        heartbeat.record()
        await asyncio.sleep(1)


@asynccontextmanager
async def _served(api: MetricsAPI, port: int, tls: ServerTLS) -> AsyncIterator[None]:
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port, ssl_context=tls.context).start()
        yield
    finally:
        await runner.cleanup()


def main() -> str | None:
    """Run until SIGINT or SIGTERM; returns why it ended before that."""
    _parse_arguments(sys.argv[1:])
    gc.freeze()  # what was imported is there to the end
    gc.enable()
    try:
        asyncio.run(_main(os.environ))
    except (BadSettings, ClusterError) as error:
        return f"{PROGRAM}: {error}"
    return None


async def _main(environ: Mapping[str, str]) -> None:
    settings = read(Settings, PREFIX, environ)
    set_up_logging(settings.log_level.value, settings.log_format)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    telemetry = Telemetry(registry)
    heartbeat = LoopHeartbeat(threading.Event(), time.monotonic)
    heartbeat.record()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = serve(health_app(heartbeat, registry), settings.health_port)
    try:
        async with connect(environ, telemetry.wrote) as connection:
            await _until(stop, run(connection, settings, telemetry, heartbeat))
    finally:
        server.shutdown()


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Run `work` until `DRAIN_SECONDS` after `stop`; raises what ends it earlier."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=DRAIN_SECONDS)
        if working.done():
            working.result()
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working, stopping})


def _parse_arguments(arguments: list[str]) -> None:
    """Print the help or the version on request; all settings are environment variables."""
    variables = ", ".join(PREFIX + name.upper() for name in Settings.model_fields)
    parser = argparse.ArgumentParser(
        prog="python -m chatfleet_metrics",
        description="Serve custom.metrics.k8s.io from the metrics of the API pods.",
        epilog=f"Settings are environment variables: {variables}.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version('chatfleet-operator')}")
    parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
