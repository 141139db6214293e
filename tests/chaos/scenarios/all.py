"""Every scenario, in the order in which they are played."""

from typing import Final

from chaos.scenario import Scenario
from chaos.scenarios import cancel, drain, overload, pod_kill, redis_away, retries, slow_readers, truthful

SCENARIOS: Final[tuple[Scenario, ...]] = (
    truthful.SCENARIO,
    retries.SCENARIO,
    cancel.SCENARIO,
    overload.SCENARIO,
    slow_readers.SCENARIO,
    redis_away.SCENARIO,
    drain.SCENARIO,
    pod_kill.SCENARIO,
)
