"""The fleet of a server without Redis: one pod, which nothing outlives."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf

from chatfleet_api.domain.ids import RunKey
from chatfleet_api.runs.fleet.interface import Claim, HeartbeatResult, Orphan, RunRecord


class SinglePodFleet:
    """A `Fleet` of one pod: its runs end with it."""

    @asynccontextmanager
    async def begin(self, record: RunRecord) -> AsyncGenerator[None, None]:  # noqa: ARG002  # the interface's
        yield

    async def cancel(self, tenant: str, run: str) -> bool:  # noqa: ARG002  # the interface's
        return False

    async def heartbeat(
        self,
        is_producing: Callable[[str, str], bool],  # noqa: ARG002  # the interface's
        *,
        draining: bool,  # noqa: ARG002  # the interface's
    ) -> HeartbeatResult:
        return HeartbeatResult((), (), (), inf)

    def details(self) -> None:
        """Return None: there is no fleet."""

    async def claim(self, orphans: Sequence[Orphan]) -> Sequence[Claim | None]:
        return [None for _ in orphans]

    def has_successors(self) -> bool:
        return False

    def mark_for_handoff(self, runs: Sequence[RunKey]) -> None:
        """Do nothing: there is no successor."""

    async def hand_over(self, runs: Sequence[RunKey]) -> None:
        """Do nothing: there is no successor."""
