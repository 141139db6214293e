"""What a request wants of the response cache, and what came of it. The task of its run has it, as it has the span."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final, Literal, TypeAlias

DECIDED_SECONDS: Final = 0.2
"""Longest that the headers of an expected stream wait for the cache: longer than a look into it takes."""

Result: TypeAlias = Literal["hit", "miss"]


class CacheUse:
    """One request of a client. Only the first request to a model that it leads to may be answered from the cache."""

    __slots__ = (
        "_claimed",
        "_decided",
        "_expected",
        "age_seconds",
        "max_age_seconds",
        "reads",
        "result",
        "tenant",
        "writes",
    )

    def __init__(
        self, tenant: str, *, reads: bool = True, writes: bool = True, max_age_seconds: int | None = None
    ) -> None:
        """`reads`, `writes`: whether it may be answered from the cache, and its answer kept there."""
        self.tenant = tenant
        self.reads = reads
        self.writes = writes
        self.max_age_seconds = max_age_seconds
        """Oldest answer that the client takes; None: any."""
        self.result: Result | None = None
        """None: it cannot be cached, or nothing is decided yet."""
        self.age_seconds = 0
        """Of the answer that was found."""
        self._claimed = False
        self._expected = False
        self._decided = asyncio.Event()

    def expect(self) -> None:
        """Have `decided` wait: a request to a model will come that can be cached. Without it, as of a replay, none."""
        self._expected = self.reads or self.writes

    def claim(self) -> bool:
        """Return whether the cache may be used for a request to a model, which the next one may not."""
        claimed, self._claimed = self._claimed, True
        return not claimed and (self.reads or self.writes)

    def decide(self, result: Result | None, age_seconds: int = 0) -> None:
        """Note what came of it."""
        if not self._decided.is_set():
            self.result, self.age_seconds = result, age_seconds
            self._decided.set()

    async def decided(self) -> None:
        """Return when that is known, or after `DECIDED_SECONDS`; at once if nothing is expected."""
        if self._expected and not self._decided.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(DECIDED_SECONDS):
                    await self._decided.wait()


_CURRENT: ContextVar[CacheUse | None] = ContextVar("cache_use", default=None)


def current() -> CacheUse | None:
    """Return that of the task; None: it does not use the cache."""
    return _CURRENT.get()


def expect() -> None:
    """Note that the task, if it uses the cache, begins a run whose request can be cached."""
    if (use := _CURRENT.get()) is not None:
        use.expect()


@contextmanager
def using(use: CacheUse | None) -> Iterator[None]:
    """Use the cache so within the block, also in tasks that begin there; None: not at all."""
    before = _CURRENT.set(use)
    try:
        yield
    finally:
        _CURRENT.reset(before)
