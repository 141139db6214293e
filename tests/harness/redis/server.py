"""A real Redis for tests: Debian's server on a free loopback port, in a folder of its own, gone when the tests end."""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
import redis

START_SECONDS = 10
"""Time that a server gets until it answers; it needs about 0.05 s on an idle machine."""


@contextmanager
def redis_server(folder: Path, *lines: str, arguments: Sequence[str] = ()) -> Iterator[str]:
    """Run one server with its files in `folder`; yields its `redis://` URL.

    `lines` are added to its settings, `arguments` to its command.

    Raises:
        RuntimeError: the server is not installed, or ended before it answered (with its own words).
    """
    if shutil.which("redis-server") is None:
        message = "redis-server is not installed: run `make setup` as root, or apt-get install redis-server"
        raise RuntimeError(message)
    port = free_port()
    settings = folder / "redis.conf"
    settings.write_text(f'bind 127.0.0.1\nport {port}\ndir "{folder}"\nsave ""\nappendonly no\n' + "\n".join(lines))
    log = folder / "redis.log"
    with log.open("wb") as output:
        process = subprocess.Popen(("redis-server", settings, *arguments), stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_answers(port, process, log)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()  # it keeps nothing on disk that an orderly end would save
        process.wait()


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    with redis.Redis(port=port) as client:
        while process.poll() is None and monotonic() < deadline:
            try:
                client.ping()
            except redis.ConnectionError:
                sleep(0.01)
            else:
                return
    message = f"redis-server did not answer on port {port}: {log.read_text()[-500:]}"
    raise RuntimeError(message)


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
