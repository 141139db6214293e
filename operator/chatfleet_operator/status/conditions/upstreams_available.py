"""UpstreamsAvailable: the providers that were called answer."""

from typing import Final

from chatfleet_contract.report import Dependency, State
from chatfleet_contract.status import Reason
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.messages import listed
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown

_WEIGHT: Final = {State.UNKNOWN: 0, State.DOWN: 1, State.UP: 2}


def provider_states(assessment: Assessment) -> dict[str, Dependency]:
    """Return each provider as the pods see it: up when one pod gets answers, down when some fail and none does."""

    def seen(name: str) -> Dependency:
        reported = [report.upstreams[name] for report in assessment.reports if name in report.upstreams]
        return max(reported, key=_weight, default=Dependency(state=State.UNKNOWN))

    return {provider.name: seen(provider.name) for provider in (assessment.spec.providers if assessment.spec else ())}


def _weight(seen: Dependency) -> tuple[int, bool]:
    return _WEIGHT[seen.state], seen.message is not None


def _down(assessment: Assessment) -> ConditionResult | None:
    states = provider_states(assessment)
    down = [
        f"Upstream {name}: {state.message or state.state.value}"
        for name, state in states.items()
        if state.state is State.DOWN
    ]
    return false(Reason.UNAVAILABLE, "; ".join(down)) if down else None


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
