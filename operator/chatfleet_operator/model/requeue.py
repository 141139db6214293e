"""When one reconciliation wants the next one."""

from enum import Enum
from typing import NamedTuple


class Requeue(Enum):
    """When to reconcile again."""

    IMMEDIATELY = "at once"
    """The next step does not depend on anything else."""
    UNSETTLED = "unsettled"
    """Something is under way: with back-off, up to the resync."""
    SETTLED = "settled"
    """At rest: at the next resync."""
    REFUSED = "refused"
    """Something else must change, and no event may announce it: with back-off, up to the resync."""
    FAILED = "failed"
    """The API server did not answer, or not in time: with back-off."""
    GONE = "gone"
    """Never: the object was deleted."""


class Result(NamedTuple):
    """The result of one reconciliation."""

    requeue: Requeue
    min_delay: float = 0.0
    """Least seconds before the next one."""
