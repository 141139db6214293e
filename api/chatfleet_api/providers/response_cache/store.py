"""Answers in Redis: of all tenants and pods, within one bound. No key or field discloses a request or a caller."""

import hashlib
from typing import Any, Final, NamedTuple, Protocol

from chatfleet_api.providers.response_cache.script import CLEAR, COUNTS_SECONDS, FIND, KEEP, STATE
from chatfleet_api.redis.client import RedisClient

MARK_BYTES: Final = 16


class Place(NamedTuple):
    """Where an answer is."""

    tenant: str
    model: str
    """Its name in the catalogue."""
    key: str
    """Has the tenant and the model in it, too."""

    @property
    def field(self) -> str:
        """The name of the answer: by tenant and model, so that those of one can be removed."""
        return f"{_mark(self.tenant)}:{_mark(self.model)}:{self.key}"


class Found(NamedTuple):
    """An answer as it was kept."""

    kept: bytes
    age_seconds: int


class CacheState(NamedTuple):
    """What is kept, and what came of looks into it."""

    entries: int
    bytes: int
    hits: int
    misses: int


class AnswerStore(Protocol):
    """Where pods share answers. Each method raises `ChatError(STORAGE_UNAVAILABLE)`."""

    async def find(self, place: Place, *, max_age_seconds: int) -> Found | None:
        """Return the answer if it is there, and younger than that."""
        ...

    async def keep(self, place: Place, answer: bytes, *, ttl_seconds: int, max_bytes: int) -> None:
        """Keep an answer; older ones have to go when all together exceed `max_bytes`, or it when too many had to."""
        ...


class RedisAnswers:
    """An `AnswerStore` of all pods of a ChatDeployment."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def find(self, place: Place, *, max_age_seconds: int) -> Found | None:
        found = await self._call(FIND, place.field, 1000 * max_age_seconds, COUNTS_SECONDS)
        return None if found is None else Found(found[0], found[1] // 1000)

    async def keep(self, place: Place, answer: bytes, *, ttl_seconds: int, max_bytes: int) -> None:
        await self._call(KEEP, place.field, answer, 1000 * ttl_seconds, max_bytes)

    async def state(self, *, ttl_seconds: int) -> CacheState:
        """Return what is kept, without answers that are too old."""
        return CacheState(*await self._call(STATE, 1000 * ttl_seconds))

    async def clear(self, tenant: str | None = None, model: str | None = None) -> int:
        """Remove answers, of one tenant or to one model if they are named; return how many there were."""
        marks = ["" if name is None else _mark(name) for name in (tenant, model)]
        total, place = 0, 0
        while place >= 0:
            removed, place = await self._call(CLEAR, place, *marks)
            total += removed
        return total

    async def _call(self, script: str, *arguments: str | bytes | int) -> Any:  # noqa: ANN401  # as its script has it
        keys = cache_keys(self._redis)
        return await self._redis.call("EVAL", script, len(keys), *keys, *arguments)


def cache_keys(redis: RedisClient) -> tuple[str, ...]:
    """Return the keys of the entries, of their index, and of the counts."""
    return tuple(redis.shared_key(f"cache:{kind}") for kind in ("entries", "index", "counts"))


def _mark(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=MARK_BYTES).hexdigest()
