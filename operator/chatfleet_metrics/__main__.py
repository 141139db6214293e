"""`python -m chatfleet_metrics`: the composition root, from settings to a served and registered API."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics

from chatfleet_metrics.apiserver.authentication import Tokens
from chatfleet_metrics.apiserver.authorization import Authorization
from chatfleet_metrics.apiserver.registration import Adapter, Registration
from chatfleet_metrics.apiserver.server import Api
from chatfleet_metrics.apiserver.tls import Tls
from chatfleet_metrics.apiserver.trust_rotation import Upkeep
from chatfleet_metrics.apiserver.ttl_cache import Recent
from chatfleet_metrics.figures.pods import follow
from chatfleet_metrics.figures.scrape import HttpFetch, Scraper, open_session
from chatfleet_metrics.figures.store import Fleet
from chatfleet_metrics.settings import PREFIX, Settings
from chatfleet_metrics.telemetry import Telemetry
from chatfleet_operator.kube import Connection, connect
from chatfleet_operator.model.errors import ClusterError
from chatfleet_operator.model.values import Ref
from chatfleet_operator.process.health import LoopHeartbeat, health_app, serve
from chatfleet_operator.process.settings import BadSettings, read
from chatfleet_operator.process.telemetry import set_up_logging

LEAVE_SECONDS: Final = 5.0
"""We go on serving for so long after being told to stop: until then the API server may still be sending requests."""


def utc_now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


async def run(connection: Connection, settings: Settings, telemetry: Telemetry, pulse: LoopHeartbeat) -> None:
    """Scrape, look after ourselves, and serve, until cancelled."""
    clock = asyncio.get_running_loop().time
    fleet = Fleet(settings.period_seconds, clock)
    service = Ref(settings.namespace, settings.service)
    registration = Registration(connection, Adapter(service, settings.service_port, settings.owner), telemetry)
    host = f"{service.name}.{service.namespace}.svc"
    upkeep = Upkeep(connection, Ref(settings.namespace, settings.secret), host, registration.keep, utc_now, Tls())
    api = Api(
        figures=fleet,
        tokens=Tokens(connection, Recent(clock)),
        authorization=Authorization(connection, Recent(clock)),
        trust=lambda: upkeep.trust,
        now=utc_now,
        watch=telemetry,
    )
    listed = asyncio.Event()

    def ready_after_round() -> None:
        if upkeep.is_done:
            pulse.started.set()

    async with open_session() as session, _served(api, settings.port, upkeep.tls), asyncio.TaskGroup() as group:
        group.create_task(_heart(pulse))
        group.create_task(follow(connection, fleet, listed.set))
        group.create_task(upkeep.run(pulse.started.is_set))
        await listed.wait()
        await Scraper(HttpFetch(session), fleet, telemetry).run(ready_after_round)


async def _heart(pulse: LoopHeartbeat) -> None:
    while True:
        pulse.beat()
        await asyncio.sleep(1)


@asynccontextmanager
async def _served(api: Api, port: int, tls: Tls) -> AsyncIterator[None]:
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=LEAVE_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port, ssl_context=tls.context).start()
        yield
    finally:
        await runner.cleanup()


async def main(environ: Mapping[str, str]) -> None:
    """Run the adapter until it is told to stop."""
    settings = read(Settings, PREFIX, environ)
    set_up_logging(settings.log_level.value, settings.log_format)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    telemetry = Telemetry(registry)
    pulse = LoopHeartbeat(threading.Event())
    pulse.beat()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = serve(health_app(pulse, registry), settings.health_port)
    try:
        async with connect(environ, telemetry.wrote) as connection:
            await _until(stop, run(connection, settings, telemetry, pulse))
    finally:
        server.shutdown()


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Work until a moment after `stop`; raises what makes going on impossible."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=LEAVE_SECONDS)
        if working.done():
            working.result()
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working, stopping})


if __name__ == "__main__":
    try:
        asyncio.run(main(os.environ))
    except (BadSettings, ClusterError) as failed:
        sys.exit(f"chatfleet-metrics-apiserver: {failed}")
