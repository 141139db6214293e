"""Every way a Redis can be built, as real servers: one alone, one behind a sentinel, a cluster."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from time import sleep
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest
import redis

from support.redis_server import free_port, redis_server


@contextmanager
def _single(folder: Path) -> Iterator[str]:
    with redis_server(folder) as url:
        yield url


@contextmanager
def _sentinel(folder: Path) -> Iterator[str]:
    watched, watching = folder / "watched", folder / "watching"
    watched.mkdir()
    watching.mkdir()
    with redis_server(watched) as url:
        monitor = f"sentinel monitor main 127.0.0.1 {urlsplit(url).port} 1"
        with redis_server(watching, monitor, arguments=("--sentinel",)) as sentinel:
            yield f"redis+sentinel://127.0.0.1:{urlsplit(sentinel).port}/main/0"


@contextmanager
def _cluster(folder: Path) -> Iterator[str]:
    """Run a cluster of one server, which still insists that the keys of a command share a slot."""
    lines = ("cluster-enabled yes", f"cluster-port {free_port()}", "cluster-announce-ip 127.0.0.1")
    with redis_server(folder, *lines) as url:
        with redis.Redis.from_url(url) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                sleep(0.01)
        yield f"redis+cluster://127.0.0.1:{urlsplit(url).port}"


_BUILDERS = {"single": _single, "sentinel": _sentinel, "cluster": _cluster}
TOPOLOGIES = tuple(_BUILDERS)
Topologies: TypeAlias = Callable[[str], str]


@pytest.fixture(scope="session")
def topologies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topologies]:
    """Start each topology when it is first asked for, once a session, and return its URL. Nothing is ever cleared."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(_BUILDERS[name](tmp_path_factory.mktemp(name))))
