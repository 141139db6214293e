"""`python -m chatfleet_api.activator`: read the environment, and hold requests until SIGTERM or SIGINT."""

import gc

if __name__ == "__main__":
    gc.disable()  # until `run`: imports leave no garbage, and looking for it takes a tenth of the start

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from functools import partial
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError
from starlette.types import ASGIApp
from uuid_utils import uuid7

from chatfleet_api.activator.activator import Activator
from chatfleet_api.activator.app import create_app, create_health_app
from chatfleet_api.activator.backend import HTTPBackend
from chatfleet_api.activator.pending import PendingRequests, PodWatch
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.lifecycle import GRACE_SECONDS, Lifecycle, Phase
from chatfleet_api.pod.logs import set_up_logs
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.settings import SettingsError
from chatfleet_api.process import run
from chatfleet_api.server.http_server import Server, health_server, listen, listeners
from chatfleet_contract import metrics
from chatfleet_contract.names import ENV_ACTIVATOR
from chatfleet_contract.runtime import ActivatorConfig


def main() -> int:
    """Run until a signal; returns the exit status."""
    return run("chatfleet-activator", _start)


def _start() -> Coroutine[Any, Any, None]:
    try:
        config = ActivatorConfig.model_validate_json(os.environ.get(ENV_ACTIVATOR, ""))
    except ValidationError as error:
        raise SettingsError(f"{ENV_ACTIVATOR} is not valid: {error.errors()[0]['msg']}") from None
    set_up_logs(config.observability)
    return _run(config)


async def _run(config: ActivatorConfig) -> None:
    clock = time.monotonic
    lifecycle, meter = Lifecycle(clock), Meter(version("chatfleet-api"))
    with listen(config.host, config.port) as serving, listen(config.host, config.health_port) as health:
        backend = HTTPBackend(config.pods_url, config.pods_health_url)
        pods = PodWatch(backend.ready, clock=clock)
        pending = PendingRequests(config.max_streams, pods, lifecycle)
        meter.gauge(metrics.QUEUED_REQUESTS, lambda: pending.waiting)
        activator = Activator(pending, pods, backend, config.activation_timeout_seconds, config.heartbeat_seconds)
        lines = Live(lambda: config.observability.access_log)
        app = create_app(activator, meter, clock=clock, new_id=lambda: str(uuid7()), lines=lines)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(pods.run())
            with health_server(create_health_app(pending, meter), health):
                seconds = config.activation_timeout_seconds + config.max_stream_seconds
                await _serve(app, lifecycle, listeners(serving), seconds)
            watching.cancel()


async def _serve(app: ASGIApp, lifecycle: Lifecycle, sockets: list[socket.socket], seconds: float) -> None:
    """Serve until SIGTERM or SIGINT; then let what waits, and what is being proxied, end within `seconds`."""

    def drain() -> None:
        lifecycle.enter(Phase.DRAINING)
        server.close_within(seconds + GRACE_SECONDS)

    server = Server(app, listening=partial(lifecycle.enter, Phase.SERVING))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    await server.serve(sockets)


if __name__ == "__main__":
    sys.exit(main())
