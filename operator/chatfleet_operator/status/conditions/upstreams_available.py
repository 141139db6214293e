"""UpstreamsAvailable: the providers that were checked answer, and so do the models that were requested."""

from typing import Final

from chatfleet_contract.report import State
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.messages import listed
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown
from chatfleet_operator.status.upstreams import failing_models, provider_states

MAX_NAMED: Final = 4
"""Providers and models that one message names; of more it has the number."""


def _down(assessment: Assessment) -> ConditionResult | None:
    down = {name: state for name, state in provider_states(assessment).items() if state.state is State.DOWN}
    failing = {name: one for name, one in failing_models(assessment).items() if one.provider not in down}
    found = [f"Upstream {name}: {state.message or state.state.value}" for name, state in down.items()]
    found += [f"Model {name} of upstream {one.provider}: {one.message or 'down'}" for name, one in failing.items()]
    if not found:
        return None
    more = [f"{len(found) - MAX_NAMED} more"] if len(found) > MAX_NAMED else []
    return false(Reason.UNAVAILABLE, "; ".join([*found[:MAX_NAMED], *more]))


def _none_called(assessment: Assessment) -> ConditionResult | None:
    if any(state.state is not State.UNKNOWN for state in provider_states(assessment).values()):
        return None
    return unknown(Reason.NO_POD_REPORT, "No pod has called an upstream yet.")


def _available(assessment: Assessment) -> ConditionResult:
    states = provider_states(assessment)
    uncalled = [name for name, state in states.items() if state.state is State.UNKNOWN]
    available = len(states) - len(uncalled)
    count = f"{available} of {len(states)} upstreams {'is' if available == 1 else 'are'} available."
    up = {name: state for name, state in states.items() if state.state is State.UP}
    notes = [f"Upstream {name}: {state.message.rstrip('.')}." for name, state in up.items() if state.message]
    missing = [f"Not called yet: {listed(uncalled)}."] if uncalled else []
    return true(Reason.AVAILABLE, " ".join([count, *missing, *notes]))


RULES: Final[tuple[Rule, ...]] = (_down, _none_called, _available)
