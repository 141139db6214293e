"""Every scenario, in the order in which they are played."""

from typing import Final

from chaos.scenario import Scenario
from chaos.scenarios import (
    busy,
    cancel,
    drain,
    idempotency,
    overload,
    paused,
    pod_kill,
    redis_away,
    resume,
    retries,
    slow_readers,
    truthful,
)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    truthful.SCENARIO,
    retries.SCENARIO,
    cancel.SCENARIO,
    overload.SCENARIO,
    slow_readers.SCENARIO,
    redis_away.SCENARIO,
    drain.SCENARIO,
    pod_kill.SCENARIO,
    resume.SCENARIO,
    paused.SCENARIO,
    idempotency.SCENARIO,
    busy.SCENARIO,
)
