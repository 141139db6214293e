"""The smallest of each way to run Redis: one server alone, behind a sentinel, and as a cluster; once a session.

They need no event loop. For servers that are killed, cut off and failed over, see `harness.redis.proxied`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest
import redis

from harness.net import free_port
from harness.polling import eventually
from harness.redis.acl import restricted, restricted_sentinel
from harness.redis.server import await_replica, redis_server


@contextmanager
def _single(folder: Path) -> Iterator[str]:
    with redis_server(folder) as url:
        yield url


@contextmanager
def _sentinel(folder: Path) -> Iterator[str]:
    (folder / "server").mkdir()
    with redis_server(folder / "server") as primary, watched(folder, primary) as url:
        yield url


@contextmanager
def watched(folder: Path, primary: str) -> Iterator[str]:
    """Run a sentinel before the server at `primary`; yields the URL through it."""
    (folder / "sentinel").mkdir()
    monitor = f"sentinel monitor main 127.0.0.1 {urlsplit(primary).port} 1"
    with redis_server(folder / "sentinel", monitor, arguments=("--sentinel",)) as sentinel:
        yield f"redis+sentinel://127.0.0.1:{urlsplit(sentinel).port}/main/0"


@contextmanager
def clustered(folder: Path, of: str | None = None) -> Iterator[str]:
    """Run a cluster of one server, which still insists that the keys of a command share a slot, or a replica of one."""
    bus = free_port()
    lines = ("cluster-enabled yes", f"cluster-port {bus}", "cluster-announce-ip 127.0.0.1")
    with redis_server(folder, *lines) as url:
        with redis.Redis.from_url(url) as client:
            if of is None:
                client.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")
            else:
                _replicate(client, urlsplit(url).port or 0, bus, of)
            _soon(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield f"redis+cluster://127.0.0.1:{urlsplit(url).port}"


def _replicate(replica: "redis.Redis", port: int, bus: int, of: str) -> None:
    with redis.Redis(port=urlsplit(of).port or 0) as primary:
        primary.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        name = primary.execute_command("CLUSTER MYID")
        _soon(lambda: _done(replica, "CLUSTER REPLICATE", name))
        await_replica(primary)


def _soon(holds: Callable[[], object]) -> None:
    eventually(holds, every=0.01)


def _done(client: "redis.Redis", *command: object) -> bool:
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py
    except redis.ResponseError:  # the servers have not met yet
        return False
    return True


@contextmanager
def _acl(folder: Path) -> Iterator[str]:
    with redis_server(folder) as url:
        yield restricted(url)


@contextmanager
def _cluster_acl(folder: Path) -> Iterator[str]:
    with clustered(folder) as url:
        yield restricted(url)


@contextmanager
def _sentinel_acl(folder: Path) -> Iterator[str]:
    (folder / "server").mkdir()
    with redis_server(folder / "server") as primary, watched(folder, primary) as url:
        restricted(primary)
        yield restricted_sentinel(url)


_OPEN = {"single": _single, "sentinel": _sentinel, "cluster": clustered}
_RESTRICTED = {"acl": _acl, "sentinel-acl": _sentinel_acl, "cluster-acl": _cluster_acl}
_BUILDERS = _OPEN | _RESTRICTED
TOPOLOGIES = tuple(_OPEN)
RESTRICTED = tuple(_RESTRICTED)
"""Servers on which pods may do what the documentation lists, and nothing else."""
Topologies: TypeAlias = Callable[[str], str]


@pytest.fixture(scope="session")
def topologies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topologies]:
    """Start each topology when it is first asked for, once a session, and return its URL. Nothing is ever cleared."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(_BUILDERS[name](tmp_path_factory.mktemp(name))))
