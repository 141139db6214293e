"""Opens the session store of a pod, and that of feedback: in Redis, or in memory when there is none."""

from collections.abc import Callable

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.feedback import FeedbackStore
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.memory_feedback import MemoryFeedbackStore
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.redis_feedback import RedisFeedbackStore
from chatfleet_api.sessions.store import SessionStore
from chatfleet_contract.spec import Conversations


def open_sessions(
    redis: RedisClient | None,
    conversations: Live[Conversations],
    wait_replicas: Live[int],
    *,
    clock: Callable[[], float],
) -> SessionStore:
    """Return the session store; there is nothing to close. `wait_replicas` is of no account in memory."""
    if redis is None:
        return MemorySessionStore(conversations, clock=clock)
    return RedisSessionStore(redis, conversations, wait_replicas)


def open_feedback(redis: RedisClient | None, sessions: SessionStore) -> FeedbackStore:
    """Return the store of feedback on the conversations of `sessions`, which are in memory or in `redis`."""
    if redis is not None:
        return RedisFeedbackStore(redis)
    if not isinstance(sessions, MemorySessionStore):
        raise TypeError(sessions)
    return MemoryFeedbackStore(sessions)
