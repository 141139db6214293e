"""`python -m chatfleet_api`: read the environment, serve until told to end."""

import argparse
import os
import sys
from typing import Final

import uvloop

from chatfleet_api.pod.configuration import ConfigurationError, first_look, load
from chatfleet_api.pod.logs import set_up_logs
from chatfleet_api.pod.services import VERSION, open_services
from chatfleet_api.pod.settings import ENVIRONMENT, Settings, SettingsError, read_settings
from chatfleet_api.server.drain import serve
from chatfleet_api.server.http_server import AddressTakenError, listen
from chatfleet_contract.runtime import RuntimeConfig

WELCOME: Final = """\
Chatfleet {version} answers on http://{host}:{port}, from a script: no keys and no cluster needed. {kept}

  curl -N http://{host}:{port}/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "default", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

  Models         default (tells a story), echo (says what you say)
  Documentation  http://{host}:{port}/docs
  Health         http://{host}:{health_port}/health
  Stop           Ctrl-C

"""


def main() -> int:
    """Run until told to end; returns the exit status: 0 after an orderly end, 2 when it could not start."""
    _read_arguments()
    try:
        settings = read_settings(os.environ)
        config = first_look() if settings.config_file is None else load(settings.config_file)
        set_up_logs(config.observability)
        uvloop.run(_run(settings, config))
    except (SettingsError, ConfigurationError, AddressTakenError) as wrong:
        sys.stderr.write(f"chatfleet-api: {wrong}\n")
        return 2
    return 0


async def _run(settings: Settings, config: RuntimeConfig) -> None:
    with listen(settings.host, settings.port) as serving, listen(settings.host, settings.health_port) as health:
        async with open_services(settings, config) as services:
            if settings.config_file is None:
                _welcome(settings, serving.getsockname()[1], health.getsockname()[1])
            await serve(services, serving, health, settings.drain_token)


def _welcome(settings: Settings, port: int, health_port: int) -> None:
    kept = "Everything is kept in memory." if settings.redis_url is None else "Conversations are kept in Redis."
    host = settings.host or "localhost"
    sys.stdout.write(WELCOME.format(version=VERSION, host=host, port=port, health_port=health_port, kept=kept))
    sys.stdout.flush()


def _read_arguments() -> None:
    lines = "\n".join(f"  {name:24} {meaning}" for name, meaning in ENVIRONMENT)
    argparse.ArgumentParser(
        "python -m chatfleet_api",
        description="The chat API of a pod. It takes no arguments; its environment is:",
        epilog=lines,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()


if __name__ == "__main__":
    sys.exit(main())
