"""Every scenario, in the order in which they are played."""

from typing import Final

from chatfleet_lab.chaos.scenario import Scenario
from chatfleet_lab.chaos.scenarios import (
    acknowledged_means_kept,
    bounded_redis_load,
    cancellation,
    cancellation_at_another_pod,
    chained_turns,
    concurrency_slots,
    drain,
    exactly_once,
    fallback_and_circuit_breaker,
    hard_budget,
    hostile_clients,
    independent_upstream,
    noisy_tenant,
    one_answer_at_a_time,
    overload,
    paused_pod,
    pod_crash,
    redis_outage,
    resume,
    retries,
    slow_readers,
    truthful_endings,
)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    truthful_endings.SCENARIO,
    retries.SCENARIO,
    fallback_and_circuit_breaker.SCENARIO,
    cancellation.SCENARIO,
    cancellation_at_another_pod.SCENARIO,
    overload.SCENARIO,
    hard_budget.SCENARIO,
    concurrency_slots.SCENARIO,
    noisy_tenant.SCENARIO,
    slow_readers.SCENARIO,
    hostile_clients.SCENARIO,
    bounded_redis_load.SCENARIO,
    redis_outage.SCENARIO,
    acknowledged_means_kept.SCENARIO,
    drain.SCENARIO,
    pod_crash.SCENARIO,
    resume.SCENARIO,
    paused_pod.SCENARIO,
    exactly_once.SCENARIO,
    one_answer_at_a_time.SCENARIO,
    chained_turns.SCENARIO,
    independent_upstream.SCENARIO,
)
