"""What all pods do in the background, for administrators at one of them.

While no one wants to know, nothing is written: whoever does sets a key that expires, which each pod sees with its next
heartbeat. It then writes its tasks to a key of its own, and cancels those that it finds in a set.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from chatfleet_api.domain.errors import StorageUnavailableError
from chatfleet_api.domain.tasks import Tasks, TaskSummary
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.runs.keys import pods_key, task_cancels_key, tasks_key, tasks_wanted_key

WANTED_SECONDS: Final = 5
"""For which pods go on to write, after a request."""
WRITE_SECONDS: Final = 0.25
KEPT_SECONDS: Final = 2
"""What is older is of a pod that is silent."""
CANCEL_SECONDS: Final = 60
WAIT_SECONDS: Final = 1.5
"""Longest that a request waits for pods that have not written."""
LOOK_SECONDS: Final = 0.05

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[TaskSummary]).decode


class FoundTasks(NamedTuple):
    """Tasks: those that run first, then the newest first."""

    tasks: Sequence[TaskSummary]
    whole: bool
    """Whether those of all pods are among them."""


class TaskDirectory:
    """Finds the tasks of all pods; without Redis those of this one."""

    def __init__(self, tasks: Tasks, redis: RedisClient | None, member: str) -> None:
        """`member` is the name of this pod in its fleet."""
        self._tasks = tasks
        self._redis = redis
        self._member = member
        self._wanted = asyncio.Event()

    def wanted(self, wanted: bool) -> None:  # noqa: FBT001  # the state itself
        """Take note of whether someone wants to know."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def write_forever(self) -> None:
        """Write the tasks of this pod while someone wants to know, until cancelled."""
        while True:
            await self._wanted.wait()
            if self._redis is not None:
                await self._write(self._redis)
            await asyncio.sleep(WRITE_SECONDS)

    async def all(self) -> FoundTasks:
        """Return the tasks of all pods; of this one alone while Redis is unreachable."""
        try:
            others, whole = await self._of_others()
        except StorageUnavailableError:
            others, whole = {}, False
        return FoundTasks(_sorted([*self._tasks.all(), *(task for tasks in others.values() for task in tasks)]), whole)

    async def cancel(self, identity: str) -> None:
        """Cancel a task, on whichever pod; one that has ended, or cannot be cancelled, goes on as it is.

        Raises `ChatError(STORAGE_UNAVAILABLE)`.
        """
        if self._tasks.cancel(identity) or self._redis is None:
            return
        redis, (others, _) = self._redis, await self._of_others()
        for member, tasks in others.items():
            if any(task.id == identity for task in tasks):
                key = task_cancels_key(redis, member)
                await redis.call_all([("SADD", key, identity), ("EXPIRE", key, CANCEL_SECONDS), _want(redis)])

    async def _of_others(self) -> tuple[dict[str, list[TaskSummary]], bool]:
        """Return the tasks of each other pod, and whether all of them have written theirs."""
        if self._redis is None:
            return {}, True
        redis, time = self._redis, asyncio.get_running_loop().time
        deadline = time() + WAIT_SECONDS
        members = [pod.decode() for pod in await redis.call("ZRANGE", pods_key(redis), 0, -1)]
        members = [member for member in members if member != self._member]
        while True:
            _, *written = await redis.call_all(
                [_want(redis), *(("GET", tasks_key(redis, member)) for member in members)]
            )
            found = {member: _decode(text) for member, text in zip(members, written, strict=True) if text is not None}
            if len(found) == len(members) or time() >= deadline:
                return found, len(found) == len(members)
            await asyncio.sleep(LOOK_SECONDS)

    async def _write(self, redis: RedisClient) -> None:
        key, cancels = tasks_key(redis, self._member), task_cancels_key(redis, self._member)
        try:
            written = ("SET", key, _encode(self._tasks.all()), "EX", KEPT_SECONDS)
            _, wanted = await redis.call_all([written, ("SMEMBERS", cancels)])
            if wanted:
                for identity in wanted:
                    self._tasks.cancel(identity.decode())
                await redis.call("SREM", cancels, *wanted)
        except StorageUnavailableError:
            return


def _want(redis: RedisClient) -> tuple[str, str, int, str, int]:
    return ("SET", tasks_wanted_key(redis), 1, "EX", WANTED_SECONDS)


def _sorted(tasks: list[TaskSummary]) -> Sequence[TaskSummary]:
    return sorted(tasks, key=lambda task: (task.ended_at is None, task.started_at), reverse=True)
