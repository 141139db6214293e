"""What holds for every test: no environment is inherited but what programs need to run at all."""

import asyncio
import os
from pathlib import Path

import pytest

pytest_plugins = [
    "harness.garbage",
    "harness.hanging",
    "harness.slowest_first",
    "harness.redis.server",
    "harness.redis.topologies",
    "harness.postgres",
]

HERE = Path(__file__).parent
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
"""Variables that tests of single parts inherit."""
MACHINE = ("clients/", "cluster/", "cluster_tool/", "e2e/", "lab/scale/", "prometheus/")
"""Folders whose tests drive this machine's own tools (builders, clusters) and need its set-up for these."""


def pytest_configure() -> None:
    """Set that there is no event loop: asked for one, Python 3.11 would make a loop that nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the developer's environment, so that a test passes or fails alike for everyone."""
    if request.path.relative_to(HERE).as_posix().startswith(MACHINE):
        return
    for name in os.environ.keys() - {*KEPT, "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
