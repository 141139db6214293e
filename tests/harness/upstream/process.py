"""The scripted upstream as a process of its own, so that its load is not the harness's, and the way to its ledger."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from harness.fork_server import PODS, forked
from harness.net import LOOPBACK, free_port, is_open
from harness.process import Program, await_ready, awaited, ready
from harness.upstream.ledger import Call
from harness.upstream.script import Script

PROGRAM: Final = "harness.upstream.scripted"


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

    async def is_ready(self) -> bool:
        return is_open(self.port)


@contextmanager
def scripted_upstream(folder: Path) -> Iterator[Upstream]:
    """Run an upstream, with its log in `folder`, until the block ends."""
    with _launched(folder) as upstream:
        await_ready(upstream.program, lambda: is_open(upstream.port), port=upstream.port)
        yield upstream


@asynccontextmanager
async def open_upstream(folder: Path) -> AsyncIterator[Upstream]:
    """Do as `scripted_upstream` does, and let the event loop run while the process starts."""
    with _launched(folder) as upstream:
        async with awaited(nullcontext(upstream.program)):
            await ready(upstream.program, upstream.is_ready, port=upstream.port)
            yield upstream


@contextmanager
def _launched(folder: Path) -> Iterator[Upstream]:
    port = free_port()
    with forked("upstream", PROGRAM, str(port), folder=folder, environment={}, server=PODS) as program:
        yield Upstream(program, port)
