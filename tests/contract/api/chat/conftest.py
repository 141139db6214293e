"""Pods of a fleet of their own, on each topology of Redis."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from uuid_utils import uuid7

from chatfleet_contract.spec.provider_types import Continuation
from harness.pods.fleet_pod import FleetPod, acquainted, open_pod
from harness.pods.runs import FakeProvider
from harness.pods.takeovers import Fleet
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies


@pytest.fixture(params=[*TOPOLOGIES, *RESTRICTED])
async def fleet(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[Fleet]:
    """Open a pod for each script, in a fleet of their own."""
    url, name = topologies(request.param), str(uuid7())
    async with AsyncExitStack() as stack:

        async def open_pods(*scripts: FakeProvider, continuation: Continuation = "none") -> list[FleetPod]:
            pods = [await open_pod(stack, url, script, continuation, fleet=name) for script in scripts]
            await acquainted(*pods)
            return pods

        yield open_pods
