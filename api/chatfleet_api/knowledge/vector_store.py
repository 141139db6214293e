"""The vectors of documents in Redis: made by one pod, read by all. They belong to the resource, not to a tenant."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.lease import Lease

VECTOR_SECONDS: Final = 7 * 24 * 3600
"""How long a vector is kept that no pod uses any more."""
MAKER_SECONDS: Final = 90.0
"""Of the lease. Longer than a batch takes: it is renewed between two of them."""
KEPT_AT_ONCE: Final = 500


class VectorStore(Protocol):
    """Where pods share vectors. Every method but `lead` raises `ChatError(STORAGE_UNAVAILABLE)`."""

    async def read(self, space: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the vectors that are there, by the digests of their texts."""
        ...

    async def write(self, space: str, vectors: Mapping[bytes, bytes]) -> None: ...

    async def keep(self, space: str, digests: Sequence[bytes]) -> None:
        """Keep vectors that are still in use."""
        ...

    async def lead(self) -> bool:
        """Return whether this pod is the one that makes vectors, if one has to."""
        ...

    async def release(self) -> None:
        """Let another pod make vectors."""
        ...


class NoStore:
    """Of a pod that shares nothing."""

    async def read(self, space: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:  # noqa: ARG002  # the port's
        return {}

    async def write(self, space: str, vectors: Mapping[bytes, bytes]) -> None: ...

    async def keep(self, space: str, digests: Sequence[bytes]) -> None: ...

    async def lead(self) -> bool:
        return True

    async def release(self) -> None: ...


class RedisVectors:
    """A `VectorStore` of all pods of a ChatDeployment."""

    def __init__(self, redis: RedisClient, process: str, *, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._lease = Lease(redis, maker_key(redis), process, clock=clock, seconds=MAKER_SECONDS)

    async def read(self, space: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        replies = await self._redis.call_all([("GET", vector_key(self._redis, space, digest)) for digest in digests])
        return {digest: vector for digest, vector in zip(digests, replies, strict=True) if vector is not None}

    async def write(self, space: str, vectors: Mapping[bytes, bytes]) -> None:
        await self._redis.call_all(
            [
                ("SET", vector_key(self._redis, space, digest), vector, "EX", VECTOR_SECONDS)
                for digest, vector in vectors.items()
            ]
        )

    async def keep(self, space: str, digests: Sequence[bytes]) -> None:
        for at in range(0, len(digests), KEPT_AT_ONCE):
            keys = [vector_key(self._redis, space, digest) for digest in digests[at : at + KEPT_AT_ONCE]]
            await self._redis.call_all([("EXPIRE", key, VECTOR_SECONDS) for key in keys])

    async def lead(self) -> bool:
        return await self._lease.hold()

    async def release(self) -> None:
        await self._lease.release()


def vector_key(redis: RedisClient, space: str, digest: bytes) -> str:
    return redis.shared_key(f"vector:{space}:{digest.hex()}")


def maker_key(redis: RedisClient) -> str:
    return redis.shared_key("vector-maker")
