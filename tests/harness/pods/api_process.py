"""The API as a process of its own, on free loopback ports, gone when the test ends."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any

from chatfleet_contract.names import ENV_DRAIN_TOKEN, HEADER_DRAIN, PATH_DRAIN
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec import Streaming
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.fork_server import forked
from harness.net import LOOPBACK, free_port
from harness.process import Program, await_ready, started

START_SECONDS = 20
"""Time that a process gets until it answers; it needs about a second on an idle machine."""
DRAIN_TOKEN = "known-to-the-kubelet"
SCRIPTS = {
    "echo": "echo",
    "tools": "tools",
    "reason": "reason",
    "count": "count-5",
    "slow": "count-30@20",
    "lasting": "count-60@20",
    "endless": "count-100000@20",
    "flood": "count-300000",
    "cut": "count-3:upstream_truncated",
    "limited": "count-0:upstream_rate_limited",
    "overloaded": "count-0:upstream_overloaded",
    "key": "count-0:upstream_authentication",
}
"""Models that answer by themselves: what each name recites."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401  # whatever was answered
        """Return the body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class ApiProcess:
    """A running API."""

    program: Program
    port: int
    health_port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Root of the serving port."""
        return f"http://{self.host}:{self.port}"

    @property
    def health_url(self) -> str:
        """Root of the health port."""
        return f"http://{self.host}:{self.health_port}"

    def health(self, path: str) -> Answer:
        """Ask the health port."""
        return fetch(self.health_url + path)

    def drain(self) -> Answer:
        """Ask as the kubelet does before it ends a pod."""
        return fetch(self.health_url + PATH_DRAIN, **{HEADER_DRAIN: DRAIN_TOKEN})

    @property
    def log(self) -> Path:
        return self.program.log

    def has_started(self) -> bool:
        try:
            return self.health("/startup").status == HTTPStatus.OK
        except OSError:
            return False


def scripted(*names: str, **streaming: int) -> RuntimeConfig:
    """Return a configuration whose models answer by themselves, all of `SCRIPTS` or those named."""
    return RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED, retries=Retries(max=0)),),
        models=tuple(Model(name=name, provider="scripted", model=SCRIPTS[name]) for name in names or SCRIPTS),
        streaming=Streaming(**streaming),
    )


@contextmanager
def api_process(
    folder: Path, config: RuntimeConfig | None = None, *, at: tuple[int, int] | None = None, **environment: str
) -> Iterator[ApiProcess]:
    """Run the API until the block ends; yields it as soon as it has started. `at`: its ports; unset: any two.

    It is forked from a process that has imported it; `new_api_process` is for tests of how it starts.

    Raises:
        StartError: it ended, or did not answer in time.
    """
    ports = at or (free_port(), free_port())
    name, given = f"api-{ports[0]}", _environment(folder, config, ports, environment)
    with forked(name, "chatfleet_api.__main__", folder=folder, environment=given) as program:
        yield _answering(program, ports, environment)


@contextmanager
def new_api_process(folder: Path, config: RuntimeConfig | None = None) -> Iterator[ApiProcess]:
    """Run the API by `python -m`, as a container does."""
    ports = free_port(), free_port()
    given = _environment(folder, config, ports, {})
    command = (sys.executable, "-m", "chatfleet_api")
    with started(f"api-{ports[0]}", command, folder=folder, environment=given) as program:
        yield _answering(program, ports, {})


def _environment(
    folder: Path, config: RuntimeConfig | None, ports: tuple[int, int], environment: Mapping[str, str]
) -> dict[str, str]:
    port, health_port = map(str, ports)
    given = {"CHATFLEET_PORT": port, "CHATFLEET_HEALTH_PORT": health_port, ENV_DRAIN_TOKEN: DRAIN_TOKEN}
    if config is not None:
        (folder / "runtime.json").write_text(config.render())
        given["CHATFLEET_CONFIG_FILE"] = str(folder / "runtime.json")
    return {**os.environ, **given, **environment}


def _answering(program: Program, ports: tuple[int, int], environment: Mapping[str, str]) -> ApiProcess:
    api = ApiProcess(program, *ports, environment.get("CHATFLEET_HOST", LOOPBACK))
    await_ready(program, api.has_started, port=api.health_port, seconds=START_SECONDS)
    return api


def run_api(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the API to its end, which is expected soon; by default on any free ports."""
    command = (sys.executable, "-m", "chatfleet_api", *arguments)
    given = os.environ | {"CHATFLEET_PORT": "0", "CHATFLEET_HEALTH_PORT": "0"} | environment
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=START_SECONDS, check=False)


def fetch(url: str, body: object = None, **headers: str) -> Answer:
    """GET `url`, or POST `body` to it as JSON; a status that tells of an error is an answer, too."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310  # http, by the tests
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310  # http, by the tests
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
