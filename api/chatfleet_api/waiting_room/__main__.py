"""`python -m chatfleet_api.waiting_room`: read the environment, hold requests until told to end."""

import asyncio
import os
import signal
import socket
import sys
import time
from importlib.metadata import version

import uvloop
from pydantic import ValidationError
from uuid_utils import uuid7

from chatfleet_api.logs import set_up_logs
from chatfleet_api.serving import AddressTakenError, Server, health_server, listen, listeners
from chatfleet_api.telemetry import Meter
from chatfleet_api.waiting_room.app import create_app, create_health_app
from chatfleet_api.waiting_room.holding import Holding
from chatfleet_api.waiting_room.pods import PodsOverHTTP, watch
from chatfleet_api.waiting_room.room import Room
from chatfleet_contract import metrics
from chatfleet_contract.names import ENV_WAITING_ROOM
from chatfleet_contract.runtime import WaitingRoomConfig


def main() -> int:
    """Run until told to end; returns the exit status: 0 after an orderly end, 2 when it could not start."""
    try:
        config = WaitingRoomConfig.model_validate_json(os.environ.get(ENV_WAITING_ROOM, ""))
        set_up_logs(config.observability)
        uvloop.run(_run(config))
    except ValidationError as wrong:
        sys.stderr.write(f"chatfleet-waiting-room: {ENV_WAITING_ROOM} is not valid: {wrong.errors()[0]['msg']}\n")
        return 2
    except AddressTakenError as wrong:
        sys.stderr.write(f"chatfleet-waiting-room: {wrong}\n")
        return 2
    return 0


async def _run(config: WaitingRoomConfig) -> None:
    room = Room(config.max_waiting, clock=time.monotonic)
    arrival, meter = asyncio.Event(), Meter(version("chatfleet-api"))
    meter.gauge(metrics.QUEUED_TURNS, "Requests that wait for a pod.", lambda: room.waiting)
    with listen(config.host, config.port) as serving, listen(config.host, config.health_port) as health:
        pods = PodsOverHTTP(config.pods_url, config.pods_health_url)
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(watch(pods, room, arrival))
            holding = Holding(room, pods, arrival, config.hold_seconds, config.heartbeat_seconds)
            app = create_app(holding, meter, clock=time.monotonic, new_id=lambda: str(uuid7()))
            with health_server(create_health_app(room, meter), health):
                await _serve(Server(app, room), listeners(serving), config.hold_seconds + config.max_stream_seconds)
            watcher.cancel()


async def _serve(server: Server, sockets: list[socket.socket], seconds: float) -> None:
    """Serve until SIGTERM or SIGINT; then let those who wait, and what is being passed on, come to their end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.end_within, seconds)
    await server.serve(sockets=sockets)


if __name__ == "__main__":
    sys.exit(main())
