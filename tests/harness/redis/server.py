"""A real Redis for tests: Debian's server on a loopback port, in a folder of its own, gone when its block ends."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from harness.net import LOOPBACK, free_port
from harness.process import Program, await_ready, started

IN_MEMORY = ('save ""', "appendonly no")
"""A server that keeps nothing on disk."""
_AT_ONCE = "repl-diskless-sync-delay 0"
"""A primary would wait 5 s for more replicas before it sends the first its data. A sentinel knows no such setting."""


@contextmanager
def redis_process(folder: Path, port: int, *lines: str, arguments: Sequence[str] = ()) -> Iterator[Program]:
    """Run one server, not yet ready, with its files in `folder`; `lines` are its settings.

    Raises:
        RuntimeError: the server is not installed.
    """
    if shutil.which("redis-server") is None:
        raise RuntimeError("redis-server is not installed: run `make setup` as root, or apt-get install redis-server")
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "redis.conf"
    if not settings.exists():  # a sentinel writes into its own
        settings.write_text("\n".join((f"bind {LOOPBACK}", f"port {port}", f'dir "{folder}"', *lines)))
    with started("redis", ("redis-server", settings, *arguments), folder=folder) as program:
        yield program


@contextmanager
def redis_server(folder: Path, *lines: str, arguments: Sequence[str] = ()) -> Iterator[str]:
    """Run one server in memory until the block ends; yields its `redis://` URL as soon as it answers.

    Raises:
        RuntimeError: the server is not installed, or ended before it answered; the message has the end of its log.
    """
    port = free_port()
    with redis_process(folder, port, *IN_MEMORY, _AT_ONCE, *lines, arguments=arguments) as program:
        await_ready(program, lambda: _answers(port), port=port)
        yield f"redis://{LOOPBACK}:{port}/0"


def await_replica(primary: "redis.Redis") -> None:
    """Wait until a replica has every write of the primary so far, and acknowledges the next ones.

    Its own link is up before that: the primary sends it writes from its first acknowledgement on, up to 1 s later.
    """
    primary.set("written", "1")  # WAIT counts from the last write of its own connection
    if not primary.wait(1, 20_000):
        raise TimeoutError("no replica acknowledged a write within 20 s")


def _answers(port: int) -> bool:
    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.fixture(scope="session")
def _redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(_redis_url: str) -> str:
    """URL of a real Redis that is empty when the test starts; one server serves the whole session."""
    with redis.Redis.from_url(_redis_url) as client:
        client.flushall()
    return _redis_url
