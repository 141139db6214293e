"""`python -m chatfleet_api.activator`: read the environment, hold requests until told to end."""

import asyncio
import os
import signal
import socket
import sys
import time
from functools import partial
from importlib.metadata import version

import uvloop
from pydantic import ValidationError
from starlette.types import ASGIApp
from uuid_utils import uuid7

from chatfleet_api.activator.app import create_app, create_health_app
from chatfleet_api.activator.holding import Holding
from chatfleet_api.activator.pods import PodsOverHTTP, watch
from chatfleet_api.activator.probes import Room
from chatfleet_api.pod.lifecycle import GRACE_SECONDS, Lifecycle, Phase
from chatfleet_api.pod.logs import set_up_logs
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.server.http_server import AddressTakenError, Server, health_server, listen, listeners
from chatfleet_contract import metrics
from chatfleet_contract.names import ENV_ACTIVATOR
from chatfleet_contract.runtime import ActivatorConfig


def main() -> int:
    """Run until told to end; returns the exit status: 0 after an orderly end, 2 when it could not start."""
    try:
        config = ActivatorConfig.model_validate_json(os.environ.get(ENV_ACTIVATOR, ""))
        set_up_logs(config.observability)
        uvloop.run(_run(config))
    except ValidationError as wrong:
        sys.stderr.write(f"chatfleet-activator: {ENV_ACTIVATOR} is not valid: {wrong.errors()[0]['msg']}\n")
        return 2
    except AddressTakenError as wrong:
        sys.stderr.write(f"chatfleet-activator: {wrong}\n")
        return 2
    return 0


async def _run(config: ActivatorConfig) -> None:
    lifecycle = Lifecycle(time.monotonic)
    room = Room(config.max_streams, lifecycle, clock=time.monotonic)
    arrival, meter = asyncio.Event(), Meter(version("chatfleet-api"))
    meter.gauge(metrics.QUEUED_REQUESTS, "Requests that wait for a pod.", lambda: room.waiting)
    with listen(config.host, config.port) as serving, listen(config.host, config.health_port) as health:
        pods = PodsOverHTTP(config.pods_url, config.pods_health_url)
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(watch(pods, room, arrival))
            holding = Holding(room, pods, arrival, config.activation_timeout_seconds, config.heartbeat_seconds)
            app = create_app(holding, meter, clock=time.monotonic, new_id=lambda: str(uuid7()))
            with health_server(create_health_app(room, meter), health):
                seconds = config.activation_timeout_seconds + config.max_stream_seconds
                await _serve(app, lifecycle, listeners(serving), seconds)
            watcher.cancel()


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
