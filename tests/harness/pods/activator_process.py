"""The activator as a process of its own, on free loopback ports, before pods that come and go as a test says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openai

from chatfleet_contract import names
from chatfleet_contract.runtime import ActivatorConfig
from chatfleet_contract.spec import LogFormat, LogLevel, Observability
from harness.fork_server import forked
from harness.net import free_port
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.process import Program, await_ready


@dataclass(frozen=True)
class ActivatorProcess:
    """A running activator, and the ports at which it looks for a pod."""

    program: Program
    config: ActivatorConfig
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.config.port}"

    def health(self, path: str) -> tuple[int, bytes]:
        answer = fetch(f"http://127.0.0.1:{self.config.health_port}{path}")
        return answer.status, answer.body

    def waiting(self) -> int:
        count: int = json.loads(self.health(names.PATH_QUEUE)[1])["waiting"]
        return count

    def ready(self) -> bool:
        return self.health("/ready")[0] == 200

    @contextmanager
    def pod(self) -> Iterator[ApiProcess]:
        """Let a pod be there."""
        ports = (_port(self.config.pods_url), _port(self.config.pods_health_url))
        with api_process(self.folder, scripted(drain_seconds=2), at=ports) as running:
            yield running

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


@contextmanager
def activator_process(folder: Path, **changes: float) -> Iterator[ActivatorProcess]:
    serving, health, pods, pods_health = (free_port() for _ in range(4))
    config = ActivatorConfig.model_validate(
        {
            "deployment": "support",
            "pods_url": f"http://127.0.0.1:{pods}",
            "pods_health_url": f"http://127.0.0.1:{pods_health}",
            "heartbeat_seconds": 1,
            "host": "127.0.0.1",
            "port": serving,
            "health_port": health,
            "observability": Observability(log_level=LogLevel.DEBUG, log_format=LogFormat.TEXT),
            **changes,
        }
    )
    environment = {names.ENV_ACTIVATOR: config.render()}
    with forked("activator", "chatfleet_api.activator.__main__", folder=folder, environment=environment) as program:
        running = ActivatorProcess(program, config, folder)
        await_ready(program, lambda: _has_started(running), port=health)
        yield running


def _has_started(running: ActivatorProcess) -> bool:
    try:
        return running.health("/startup")[0] == 200
    except OSError:
        return False
