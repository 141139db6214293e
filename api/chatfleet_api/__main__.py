"""`python -m chatfleet_api`: read the environment, and serve until SIGTERM or SIGINT."""

import gc

if __name__ == "__main__":
    gc.disable()  # until `run`: imports leave no garbage, and looking for it takes a tenth of the start

import argparse
import os
import socket
import sys
from collections.abc import Coroutine
from typing import Any, Final

from pydantic import SecretStr

from chatfleet_api.admin.app import create_admin_app
from chatfleet_api.admin.port import AdminPort
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.identity.administrators import AdminAuthentication
from chatfleet_api.pod.background import background
from chatfleet_api.pod.configuration import ANSWERING, FAILING, load, local
from chatfleet_api.pod.lifecycle import Termination
from chatfleet_api.pod.logs import set_up_logs
from chatfleet_api.pod.probes import DrainHook, create_health_app, health_routes
from chatfleet_api.pod.services import VERSION, Services, open_services
from chatfleet_api.pod.settings import ENV_ADMIN_PORT, ENV_HEALTH_PORT, ENV_PORT, ENVIRONMENT, Settings, read_settings
from chatfleet_api.process import run
from chatfleet_api.providers.response_cache.store import RedisAnswers
from chatfleet_api.runs.directory import RunDirectory
from chatfleet_api.server.http_server import Server, health_server, listen, listeners
from chatfleet_api.web.app import create_app
from chatfleet_api.webhooks.dead_letters import DeadLetters, queue_names
from chatfleet_contract.runtime import RuntimeConfig

WELCOME: Final = """\
Chatfleet {version} serves scripted models on http://{host}:{port}: no API keys and no cluster needed. {kept}

  curl -N http://{host}:{port}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "default", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

  Models         {models}
  Documentation  http://{host}:{port}/docs
  Health         http://{host}:{health_port}/health
  Stop           Ctrl-C

"""


def main() -> int:
    """Run until a signal; returns the exit status."""
    _read_arguments()
    return run("chatfleet-api", _start)


def _start() -> Coroutine[Any, Any, None]:
    settings = read_settings(os.environ)
    config = local() if settings.config_file is None else load(settings.config_file)
    set_up_logs(config.observability)
    return _run(settings, config)


async def _run(settings: Settings, config: RuntimeConfig) -> None:
    host = settings.host
    with (
        listen(host, settings.port, setting=ENV_PORT) as serving,
        listen(host, settings.health_port, setting=ENV_HEALTH_PORT) as health,
    ):
        async with open_services(settings, config) as services:
            if settings.config_file is None:
                _welcome(settings, serving.getsockname()[1], health.getsockname()[1])
            async with background(_admin_port(settings, services).run):
                await _serve(services, serving, health, settings.drain_token)


def _admin_port(settings: Settings, services: Services) -> AdminPort:
    named = services.configuration.live.map(lambda config: config.access.admin)
    admin = AdminServices(
        pod=settings.pod,
        authenticate=AdminAuthentication(services.authentication, named),
        configuration=services.configuration,
        key_uses=services.key_uses,
        runs=RunDirectory(services.pool, services.redis, settings.pod),
        sessions=services.sessions,
        dispatcher=services.dispatcher,
        fleet_events=services.fleet_events,
        cache=RedisAnswers(services.redis) if services.redis else None,
        tasks=services.tasks,
        usage=services.web.usage,
        dead_letters=_dead_letters(services),
        now=services.web.usage.now,
        clock=services.web.clock,
        new_id=services.web.new_id,
    )
    return AdminPort(
        lambda: create_admin_app(admin),
        named.map(bool),
        host=settings.host,
        port=settings.admin_port,
        setting=ENV_ADMIN_PORT,
    )


def _dead_letters(services: Services) -> DeadLetters | None:
    if services.redis is None:
        return None
    return DeadLetters(services.redis, services.configuration.live.map(queue_names), services.web.usage.now)


async def _serve(services: Services, serving: socket.socket, health: socket.socket, drain_token: SecretStr) -> None:
    """Serve the API on the main loop and its health on a thread of its own, until every stream has ended."""
    streaming = services.configuration.live.map(lambda config: config.streaming)
    hook = DrainHook(drain_token, streaming.map(lambda streaming: streaming.drain_seconds), services.lifecycle)
    with health_server(create_health_app(services.health, services.meter, hook), health):
        termination = Termination(services.lifecycle, pool=services.pool, log=services.log, streaming=streaming)
        app = create_app(services.web, routers=[health_routes(services.health, services.meter)])
        server = Server(app, listening=termination.listening, closed=termination.closed)
        await termination.serve(server, listeners(serving))


def _welcome(settings: Settings, port: int, health_port: int) -> None:
    kept = "Everything is stored in memory." if settings.redis_url is None else "Conversations are stored in Redis."
    models = ", ".join((*ANSWERING, *FAILING))
    host = settings.host or "localhost"
    sys.stdout.write(
        WELCOME.format(version=VERSION, host=host, port=port, health_port=health_port, kept=kept, models=models)
    )
    sys.stdout.flush()


def _read_arguments() -> None:
    lines = "\n".join(f"  {name:24} {description}" for name, description in ENVIRONMENT)
    argparse.ArgumentParser(
        "python -m chatfleet_api",
        description="The chat API of a pod. It takes no arguments; its environment is:",
        epilog=lines,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()


if __name__ == "__main__":
    sys.exit(main())
