"""The scripted upstream as a process of its own, so that its load is not the harness's, and the way to its ledger."""

import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from harness.net import LOOPBACK, free_port
from harness.process import Program, ready, started
from harness.upstream.ledger import Call
from harness.upstream.script import Script


@dataclass(frozen=True)
class Upstream:
    """A running upstream."""

    program: Program
    port: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self.port}"

    async def ledger(self, scripts: Iterable[Script]) -> dict[str, list[Call]]:
        """Return the calls that it got so far for each of these scripts, by key."""
        keys = [script.key for script in scripts]
        async with aiohttp.request("POST", f"{self.url}/ledger", json=keys) as response:
            return msgspec.json.decode(await response.read(), type=dict[str, list[Call]])

    async def answers(self) -> bool:
        """Return whether it takes requests."""
        try:
            async with aiohttp.request("GET", f"{self.url}/v1/models") as response:
                return response.ok
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def open_upstream(folder: Path) -> AsyncIterator[Upstream]:
    """Run an upstream, with its log in `folder`."""
    port = free_port()
    command = (sys.executable, "-m", "harness.upstream.scripted", str(port))
    async with started("upstream", command, folder=folder) as program:
        upstream = Upstream(program, port)
        await ready(program, upstream.answers)
        yield upstream
