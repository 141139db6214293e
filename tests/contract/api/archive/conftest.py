"""A Redis of its own for each test of the archive, and a writer that does not wait long."""

from collections.abc import AsyncIterator

import pytest
from uuid_utils import uuid7

from chatfleet_api.archive import keeper as keeping
from chatfleet_api.archive import postgres
from chatfleet_api.redis.client import RedisClient, open_redis
from harness.redis.topologies import Topologies


@pytest.fixture(params=["single", "cluster", "acl"])
async def client(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[RedisClient]:
    """A Redis that no other test has: each is a ChatDeployment of its own."""
    async with open_redis(topologies(request.param), "tests", f"archive-{uuid7()}") as redis_client:
        yield redis_client


@pytest.fixture
async def single(topologies: Topologies) -> AsyncIterator[RedisClient]:
    async with open_redis(topologies("single"), "tests", f"archive-{uuid7()}") as redis_client:
        yield redis_client


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(keeping, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(keeping, "MAX_RETRY_SECONDS", 0.3)
    monkeypatch.setattr(postgres, "READ_SECONDS", 30)  # a busy machine is not a silent PostgreSQL
    monkeypatch.setattr(postgres, "SILENT_SECONDS", 60)
    monkeypatch.setattr(postgres, "WAIT_SECONDS", 2)  # for which the pool waits where nothing listens
