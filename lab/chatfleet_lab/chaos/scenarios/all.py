"""Every scenario, in the order in which they are played."""

from typing import Final

from chatfleet_lab.chaos.scenario import Scenario
from chatfleet_lab.chaos.scenarios import (
    acked,
    busy,
    cancel,
    drain,
    economy,
    failover,
    hostile,
    idempotency,
    overload,
    paused,
    pod_kill,
    redis_away,
    resume,
    retries,
    slow_readers,
    stop,
    strangers,
    truthful,
)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    truthful.SCENARIO,
    retries.SCENARIO,
    failover.SCENARIO,
    cancel.SCENARIO,
    stop.SCENARIO,
    overload.SCENARIO,
    slow_readers.SCENARIO,
    hostile.SCENARIO,
    economy.SCENARIO,
    redis_away.SCENARIO,
    acked.SCENARIO,
    drain.SCENARIO,
    pod_kill.SCENARIO,
    resume.SCENARIO,
    paused.SCENARIO,
    idempotency.SCENARIO,
    busy.SCENARIO,
    strangers.SCENARIO,
)
