"""The runs in progress, of all tenants and pods: for those who administrate the fleet, and never for a caller."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.domain.ids import RunKey
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.fleet.failure_detector import UNOWNED
from chatfleet_api.runs.keys import from_member, owned_key, pods_key, record_key
from chatfleet_api.runs.pool import RunPool

_UNOWNED: Final = "none"
"""Shown as the pod of a run that none produces at the moment."""


class RunSummary(msgspec.Struct, frozen=True):
    """A run, without content."""

    id: str
    tenant: str
    pod: str
    """The pod that produces it."""
    started_at: datetime
    takeovers: int
    """How often another pod has gone on with it."""
    retrievable: bool
    """False: it is answered to one client only, and ends with its pod."""


class Found(NamedTuple):
    """Runs, the newest first."""

    runs: Sequence[RunSummary]
    whole: bool
    """Whether those of other pods are among them."""


class RunDirectory:
    """Finds runs in this pod, and those of others in Redis, whose keys a fleet shares."""

    def __init__(self, pool: RunPool, redis: RedisClient | None, pod: str) -> None:
        self._pool = pool
        self._redis = redis
        self._pod = pod

    async def runs(self) -> Found:
        """Return all runs in progress; without Redis those of this pod."""
        here = {(run.tenant, run.id): self._own(run.tenant, run.id) for run in self._pool.producing()}
        try:
            found = {**await self._of_fleet(), **here}
        except StorageUnavailableError:
            return Found(_newest(here.values()), whole=False)
        return Found(_newest(found.values()), whole=True)

    async def cancel(self, run_id: str) -> RunSummary | None:
        """Stop a run wherever it is, and return it; None: it is not in progress.

        Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        for run in self._pool.producing():
            if run.id == run_id:
                run.cancel()
                return self._own(run.tenant, run.id)
        found = await self._of_fleet()
        summary = next((each for (_, each_id), each in found.items() if each_id == run_id), None)
        if summary is None or not await self._pool.cancel(summary.tenant, run_id):
            return None
        return summary

    def _own(self, tenant: str, run_id: str) -> RunSummary:
        run = self._pool.find(tenant, run_id)
        epoch = 0 if run is None else run.fence.epoch
        return RunSummary(run_id, tenant, self._pod, started(run_id), epoch, retrievable=run is not None)

    async def _of_fleet(self) -> dict[RunKey, RunSummary]:
        if self._redis is None:
            return {}
        redis = self._redis
        pods = [pod.decode() for pod in await redis.call("ZRANGE", pods_key(redis), 0, -1)]
        owned = await redis.call_all([("SMEMBERS", owned_key(redis, pod)) for pod in (*pods, UNOWNED)])
        runs = [from_member(member) for members in owned for member in members]
        if not runs:
            return {}
        wanted = ("owner", "epoch", "ended")
        records = await redis.call_all([("HMGET", record_key(redis, *run), *wanted) for run in runs])
        return {
            run: _summary(run, owner.decode(), int(epoch))
            for run, (owner, epoch, ended) in zip(runs, records, strict=True)
            if owner is not None and not ended
        }


def started(run_id: str) -> datetime:
    """Return when a run began, which its id has (UUIDv7)."""
    return datetime.fromtimestamp((UUID(run_id).int >> 80) / 1000, UTC)


def _summary(run: RunKey, owner: str, epoch: int) -> RunSummary:
    tenant, run_id = run
    pod = _UNOWNED if owner == UNOWNED else owner.partition("/")[0]
    return RunSummary(run_id, tenant, pod, started(run_id), epoch, retrievable=True)


def _newest(runs: Iterable[RunSummary]) -> Sequence[RunSummary]:
    return sorted(runs, key=lambda run: run.id, reverse=True)
