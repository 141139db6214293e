"""Leader election: of several operators, the one that holds the Lease works.

Only this process' own monotonic clock is used: a Lease is acquired when it has not changed for its whole duration, so
that clocks that disagree cannot make two leaders. Why this is not the client library's: docs/decisions/0102.
"""

import asyncio
import logging
from typing import Final, NamedTuple, Protocol

from chatfleet_operator.model.errors import ClusterError

LEASE_DURATION_SECONDS: Final = 12
"""A Lease unchanged for so long has expired: with a read every second, a dead leader is replaced within 13."""

RENEW_DEADLINE_SECONDS: Final = 8.0
"""A holder that could not renew for so long stops writing: well before another candidate may start."""

RENEW_INTERVAL_SECONDS: Final = 2.0
"""Between two renewals."""

RETRY_PERIOD_SECONDS: Final = 1.0
"""Between two reads of a Lease that another candidate holds; the last one is when it expires."""

logger = logging.getLogger(__name__)


class LeaseRecord(NamedTuple):
    """What a Lease records."""

    holder: str
    """Identity of the holder; empty: it was released."""
    seconds: int
    """How long it is valid without a change."""
    version: str
    """Changes with every renewal."""


class LeaseStore(Protocol):
    """The storage of the Lease. Raises `errors.ClusterError`."""

    async def read(self) -> LeaseRecord | None:
        """None: there is no Lease."""
        ...

    async def write(self, before: LeaseRecord | None, holder: str, seconds: int) -> LeaseRecord:
        """Create the Lease, or replace `before`; fails when it has changed since `before` was read."""
        ...


class Lease:
    """One candidate's view of the Lease."""

    def __init__(self, store: LeaseStore, identity: str, pod: str = "") -> None:
        """`identity` is unique to this process: no other candidate and no earlier process has it.

        `pod`: the beginning of the identities of this pod's earlier processes, which have ended; empty: none is known.
        """
        self._store = store
        self._identity = identity
        self._pod = pod
        self._record: LeaseRecord | None = None
        self._renewed_at: float | None = None

    def is_held(self) -> bool:
        """Whether this candidate may write now. Checked before every write: a process that was suspended may not."""
        return self._renewed_at is not None and _now() < self._renewed_at + RENEW_DEADLINE_SECONDS

    async def acquire(self) -> None:
        """Return once the Lease is ours."""
        seen_at = _now()
        while True:
            try:
                before = self._record
                self._record = await self._store.read()
                if before is None or self._record is None or self._record.version != before.version:
                    seen_at = _now()
                if self._is_own(self._record) or _is_free(self._record, _now() - seen_at):
                    await self._write()
                    return
            except ClusterError as error:
                logger.info("The Lease could not be acquired: %s", error)
            await asyncio.sleep(_pause(self._record, _now() - seen_at))

    async def hold(self) -> None:
        """Renew the Lease until it is lost; return then."""
        while self._renewed_at is not None:
            await asyncio.sleep(RENEW_INTERVAL_SECONDS)
            left = self._renewed_at + RENEW_DEADLINE_SECONDS - _now()
            try:
                async with asyncio.timeout(max(left, 0)):
                    await self._renew()
            except (ClusterError, TimeoutError) as error:
                logger.warning("The Lease could not be renewed: %s", str(error) or "timeout")
                self._record = None  # read it again: a write may have succeeded without a response
            if not self.is_held():
                self._renewed_at = None

    def _is_own(self, record: LeaseRecord | None) -> bool:
        """Whether an earlier process of this pod holds the Lease: a container starts only after it has ended."""
        return bool(self._pod and record and record.holder.startswith(self._pod))

    async def release(self) -> None:
        """Release the Lease, so that another candidate need not wait. No effect when it is not ours."""
        if self.is_held() and self._record:
            self._renewed_at = None
            await self._store.write(self._record, "", 1)

    async def _write(self) -> None:
        started = _now()  # the duration starts before the request: the response may be slow
        self._record = await self._store.write(self._record, self._identity, LEASE_DURATION_SECONDS)
        self._renewed_at = started

    async def _renew(self) -> None:
        self._record = self._record or await self._store.read()
        if self._record and self._record.holder != self._identity:
            self._renewed_at = None
            return
        await self._write()


def _is_free(record: LeaseRecord | None, unchanged: float) -> bool:
    return record is None or not record.holder or unchanged >= record.seconds


def _pause(record: LeaseRecord | None, unchanged: float) -> float:
    left = record.seconds - unchanged if record else 0.0
    return min(left, RETRY_PERIOD_SECONDS) if left > 0 else RETRY_PERIOD_SECONDS


def _now() -> float:
    return asyncio.get_running_loop().time()
