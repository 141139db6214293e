"""Why pods do not start, as a value."""

from enum import Enum
from typing import NamedTuple


class Cause(Enum):
    """The step that fails, from the creation of a pod to its last restart."""

    NOT_CREATED = "not created"
    """Admission rejects the pod: quota, LimitRange, PriorityClass, Pod Security, a policy or webhook."""
    VOLUME = "volume"
    """The volume claim is not bound, is being deleted, or has lost its volume."""
    UNSCHEDULABLE = "unschedulable"
    IMAGE = "image"
    """Its name is invalid, or it cannot be pulled."""
    CONTAINER_NOT_CREATED = "container not created"
    """A Secret or ConfigMap of its environment does not exist, a volume cannot be mounted, the command does not run."""
    CRASH = "crash"
    OUT_OF_MEMORY = "out of memory"
    NODE_LOST = "node lost"


class StartFailure(NamedTuple):
    cause: Cause
    message: str
    """The object and what the cluster reports about it, bounded."""
