"""The Redis keys of runs. Those of one run share a slot, and those of the fleet another: each serves one script."""

from urllib.parse import quote, unquote

from chatfleet_api.domain.ids import RunKey
from chatfleet_api.redis.client import RedisClient


def events_key(redis: RedisClient, tenant: str, run: str) -> str:
    return redis.key(tenant, "events", run)


def record_key(redis: RedisClient, tenant: str, run: str) -> str:
    """Return the key of a run's record: its owner, its epoch, and what a successor needs."""
    return redis.key(tenant, "run", run)


def pods_key(redis: RedisClient) -> str:
    return redis.shared_key("pods")


def owned_key(redis: RedisClient, pod: str) -> str:
    return redis.shared_key(f"owned:{pod}")


def cancels_key(redis: RedisClient, pod: str) -> str:
    return redis.shared_key(f"cancels:{pod}")


def tapped_key(redis: RedisClient) -> str:
    """Return the key that is there while someone listens to the events of all pods."""
    return redis.shared_key("tapped")


def fleet_events_key(redis: RedisClient) -> str:
    """Return the key of the stream of what happens on all pods."""
    return redis.shared_key("fleet-events")


def tasks_wanted_key(redis: RedisClient) -> str:
    """Return the key that is there while someone wants to know the tasks of all pods."""
    return redis.shared_key("tasks-wanted")


def tasks_key(redis: RedisClient, pod: str) -> str:
    """Return the key of what a pod does in the background."""
    return redis.shared_key(f"tasks:{pod}")


def task_cancels_key(redis: RedisClient, pod: str) -> str:
    """Return the key of the set of tasks that a pod is to cancel."""
    return redis.shared_key(f"task-cancels:{pod}")


def to_member(run: RunKey) -> str:
    """Return a run as a member of the fleet's sets."""
    tenant, run_id = run
    return f"{quote(tenant, safe='')}/{run_id}"


def from_member(member: bytes) -> RunKey:
    """Return the run of a member of the fleet's sets."""
    tenant, _, run_id = member.decode().partition("/")
    return unquote(tenant), run_id
