"""What the pods know of providers and models, as one."""

import math
from collections.abc import Mapping
from typing import Final

from chatfleet_contract.report import Dependency, ModelOutcome, State
from chatfleet_contract.spec.providers import Model
from chatfleet_operator.status.assessment import Assessment

ANSWER_SECONDS: Final = 60.0
"""Longest time for which the answer that one pod got counts against a newer failure of another."""

_WEIGHT: Final = {State.UNKNOWN: 0, State.DOWN: 1, State.UP: 2}


def provider_states(assessment: Assessment) -> dict[str, Dependency]:
    """Return each provider as the pods see it: up when one pod gets answers, down when some fail and none does."""

    def seen(name: str) -> Dependency:
        reported = [report.upstreams[name] for report in assessment.reports if name in report.upstreams]
        return max(reported, key=_weight, default=Dependency(state=State.UNKNOWN))

    return {provider.name: seen(provider.name) for provider in (assessment.spec.providers if assessment.spec else ())}


def failing_models(assessment: Assessment) -> dict[str, ModelOutcome]:
    """Return the models whose requests fail, by name: at some pod, and no pod got an answer since.

    The key, the account and the model are the same for all pods, so what one of them meets will meet the others.
    """
    models = assessment.spec.models if assessment.spec else ()
    return {model.name: failing for model in models if (failing := _failing(assessment, model))}


def model_states(assessment: Assessment) -> Mapping[str, State]:
    """Return each model of the catalogue, without its fallbacks: as its provider, and down while its requests fail."""
    providers, failing = provider_states(assessment), failing_models(assessment)
    return {
        model.name: State.DOWN if model.name in failing else providers[model.provider].state
        for model in (assessment.spec.models if assessment.spec else ())
        if model.provider in providers
    }


def _failing(assessment: Assessment, model: Model) -> ModelOutcome | None:
    current = [report for report in assessment.reports if report.config == assessment.digest]
    known = [report.models[model.name] for report in current if model.name in report.models]
    answered = min((outcome.seconds for outcome in known if outcome.state is State.UP), default=math.inf)
    failing = [outcome for outcome in known if outcome.state is State.DOWN and not _outdated(outcome, answered)]
    return min(failing, key=lambda outcome: outcome.seconds, default=None)


def _outdated(failing: ModelOutcome, answered: float) -> bool:
    """Whether the failures at one pod do not count because of the answer that another got `answered` seconds ago."""
    return answered < failing.seconds or answered < min(ANSWER_SECONDS, failing.failing_seconds or failing.seconds)


def _weight(seen: Dependency) -> tuple[int, bool]:
    return _WEIGHT[seen.state], seen.message is not None
