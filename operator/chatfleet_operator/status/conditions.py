"""The rules of the conditions, as lists that read top to bottom: the first rule with a result decides.

What each condition promises, for people, is in docs/operations/operator.md.
"""

from collections.abc import Mapping
from typing import TypeAlias

from chatfleet_contract import names
from chatfleet_contract.providers import Model
from chatfleet_contract.report import Dependency, State
from chatfleet_contract.status import ConditionStatus, ConditionType, Reason
from chatfleet_operator.children import KINDS_OF_AUTOSCALERS
from chatfleet_operator.model.values import ObjectId
from chatfleet_operator.status.assessment import Assessment, rollout, status_int
from chatfleet_operator.status.finding import ConditionResult, Rule, false, first, true, unknown
from chatfleet_operator.status.scaling import AUTOSCALING_ACTIVE

Results: TypeAlias = Mapping[ConditionType, ConditionResult]


def evaluate_conditions(assessment: Assessment) -> dict[ConditionType, ConditionResult]:
    """Return what every condition says about `assessment`, Ready first."""
    aspects = {
        ConditionType.PROGRESSING: first(assessment, *PROGRESSING),
        ConditionType.CONFIGURATION_VALID: first(assessment, *CONFIGURATION_VALID),
        ConditionType.REDIS_AVAILABLE: redis_available(assessment),
        ConditionType.UPSTREAMS_AVAILABLE: upstreams_available(assessment),
        ConditionType.AUTOSCALING_ACTIVE: first(assessment, *AUTOSCALING_ACTIVE),
    }
    return {ConditionType.READY: ready(assessment, aspects), **aspects}


# ConfigurationValid


def _unreadable_spec(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None:
        return false(Reason.INVALID_SPEC, assessment.seen.resource.problem)
    return None


def _needed_to_serve(key: ObjectId) -> bool:
    """Pods serve without an autoscaler; what is wrong with that, AutoscalingActive says."""
    return key.kind not in KINDS_OF_AUTOSCALERS


def _not_owned(assessment: Assessment) -> ConditionResult | None:
    foreign = [key for key in assessment.plan.foreign if _needed_to_serve(key)]
    if not foreign:
        return None
    which = ", ".join(map(str, foreign))
    return false(
        Reason.NOT_OWNED,
        f"{which} exists, does not belong to this ChatDeployment and is left alone; rename or delete one of the two.",
    )


def _child_rejected(assessment: Assessment) -> ConditionResult | None:
    refused = {key: message for key, message in assessment.refused.items() if _needed_to_serve(key)}
    if not refused:
        return None
    return false(Reason.CHILD_REJECTED, "; ".join(f"{key}: {message}" for key, message in sorted(refused.items())))


def _secret_missing(assessment: Assessment) -> ConditionResult | None:
    if not assessment.seen.missing_secrets:
        return None
    missing = ", ".join(f"key {ref.key} of Secret {ref.name}" for ref in assessment.seen.missing_secrets)
    return false(Reason.SECRET_MISSING, f"There is no {missing}. Create it; the pods take it up without a restart.")


def _not_taken(assessment: Assessment) -> ConditionResult | None:
    for report in assessment.reports:
        if report.config_error and report.config != assessment.digest:
            return false(
                Reason.INVALID_SPEC, f"Pod {report.pod} keeps its earlier configuration: {report.config_error}"
            )
    return None


def _valid(_assessment: Assessment) -> ConditionResult:
    return true(Reason.VALID, "The configuration is complete and accepted.")


CONFIGURATION_VALID: tuple[Rule, ...] = (
    _unreadable_spec,
    _not_owned,
    _child_rejected,
    _secret_missing,
    _not_taken,
    _valid,
)


# Progressing


def _cannot_progress(assessment: Assessment) -> ConditionResult | None:
    """Nothing rolls out while the Deployment cannot be written."""
    if assessment.spec is None:
        return false(Reason.BLOCKED, "Nothing rolls out while the spec cannot be read.")
    stuck = [key for key in (*assessment.plan.foreign, *assessment.refused) if key.kind == "Deployment"]
    if stuck:
        return false(Reason.BLOCKED, f"{stuck[0]} cannot be written; ConfigurationValid says why.")
    return None


def _deadline_exceeded(assessment: Assessment) -> ConditionResult | None:
    missing = rollout(assessment)
    live = assessment.deployment
    if not missing or live is None:
        return None
    for condition in (live.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Progressing" and condition.get("status") == "False":
            return false(Reason.DEADLINE_EXCEEDED, f"{missing} {condition.get('message', '')}".strip())
    return None


def _rolling_out(assessment: Assessment) -> ConditionResult | None:
    missing = rollout(assessment)
    return true(Reason.ROLLING_OUT, missing) if missing else None


def _complete(assessment: Assessment) -> ConditionResult:
    all_run = f"All {status_int(assessment.deployment, 'readyReplicas')} pods run the current generation."
    wanted = assessment.plan.desired
    if wanted is None or wanted.revision == wanted.newest_revision:
        return false(Reason.COMPLETE, all_run)
    opt_in = f"{names.ANNOTATION_TEMPLATE_REVISION}={wanted.newest_revision}"
    newer = f"This operator has newer pod templates; to restart pods with them, annotate the resource with {opt_in}."
    return false(Reason.COMPLETE, f"{all_run} {newer}")


PROGRESSING: tuple[Rule, ...] = (_cannot_progress, _deadline_exceeded, _rolling_out, _complete)


# RedisAvailable, UpstreamsAvailable


def _say(name: str, dependency: Dependency) -> str:
    return f"{name}: {dependency.message or dependency.state.value}"


def redis_available(assessment: Assessment) -> ConditionResult:
    """Judge Redis: available when every pod that tells reaches it."""
    reading = {report.pod: report.redis for report in assessment.reports if report.redis}
    down = {pod: redis for pod, redis in reading.items() if redis.state is State.DOWN}
    if down:
        first = next(_say(f"pod {pod}", redis) for pod, redis in sorted(down.items()))
        return false(Reason.UNAVAILABLE, f"{len(down)} of {len(reading)} pods do not reach Redis; {first}")
    if any(redis.state is State.UP for redis in reading.values()):
        return true(Reason.CONNECTED, "Every pod that tells reaches Redis.")
    return unknown(Reason.NO_POD_REPORT, "No pod has reading about Redis yet.")


_WEIGHT = {State.UNKNOWN: 0, State.DOWN: 1, State.UP: 2}


def provider_states(assessment: Assessment) -> dict[str, Dependency]:
    """Return each provider as the pods see it: up when one pod gets answers, down when some fail and none does."""

    def seen(name: str) -> Dependency:
        reading = [report.upstreams[name] for report in assessment.reports if name in report.upstreams]
        return max(reading, key=lambda state: _WEIGHT[state.state], default=Dependency(state=State.UNKNOWN))

    return {provider.name: seen(provider.name) for provider in (assessment.spec.providers if assessment.spec else ())}


def upstreams_available(assessment: Assessment) -> ConditionResult:
    """Judge the providers: available when those that were called answer."""
    states = provider_states(assessment)
    down = [_say(name, state) for name, state in states.items() if state.state is State.DOWN]
    if down:
        return false(Reason.UNAVAILABLE, "; ".join(down))
    silent = [name for name, state in states.items() if state.state is State.UNKNOWN]
    if len(silent) == len(states):
        return unknown(Reason.NO_POD_REPORT, "No pod has reading about an upstream yet.")
    called = "Every upstream that was called answers."
    return true(Reason.AVAILABLE, f"{called} Not called yet: {', '.join(silent)}." if silent else called)


# Ready


def ready(assessment: Assessment, aspects: Results) -> ConditionResult:
    """Judge the whole: ready when a request through the Service was answered rightly, and nothing speaks against it."""
    return first(
        assessment,
        _switched_off,
        lambda _: _blocked_by(aspects, ConditionType.CONFIGURATION_VALID),
        _no_ready_pods,
        _updating,
        lambda _: _blocked_by(aspects, ConditionType.REDIS_AVAILABLE),
        _no_model_answers,
        _request_failed,
        _serving,
    )


def _switched_off(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or assessment.replicas:
        return None
    if assessment.spec.suspend:
        return false(Reason.SUSPENDED, "spec.suspend is set; conversations and configuration are kept.")
    whose = "The autoscaler holds it at zero pods." if assessment.spec.autoscaling else "spec.replicas is 0."
    return false(Reason.SCALED_TO_ZERO, whose)


def _blocked_by(aspects: Results, kind: ConditionType) -> ConditionResult | None:
    result = aspects[kind]
    if result.status is ConditionStatus.TRUE:
        return None
    return ConditionResult(result.status, Reason.BLOCKED, f"{kind.value} is {result.status.value}: {result.message}")


def _no_ready_pods(assessment: Assessment) -> ConditionResult | None:
    if any(pod.ready for pod in assessment.pods):
        return None
    return false(Reason.NO_READY_PODS, f"No pod is ready. {rollout(assessment)}".strip())


def _updating(assessment: Assessment) -> ConditionResult | None:
    missing = rollout(assessment)
    return unknown(Reason.UPDATING, missing) if missing else None


def _no_model_answers(assessment: Assessment) -> ConditionResult | None:
    """One upstream less is an incident; no model left to answer is an outage."""
    states = provider_states(assessment)
    models = {model.name: model for model in assessment.spec.models} if assessment.spec else {}

    def may_answer(model: Model) -> bool:
        chain = [model, *(models[name] for name in model.fallbacks if name in models)]
        return any(states[link.provider].state is not State.DOWN for link in chain if link.provider in states)

    if any(may_answer(model) for model in models.values()):
        return None
    return false(Reason.BLOCKED, "No model can answer: UpstreamsAvailable says why.")


def _request_failed(assessment: Assessment) -> ConditionResult | None:
    answer = assessment.seen.answer
    if answer is None:
        return unknown(Reason.UPDATING, "The Service has no address yet.")
    if answer.problem:
        return false(Reason.REQUEST_FAILED, f"A request through the Service failed: {answer.problem}")
    if answer.config != assessment.digest:
        return unknown(Reason.UPDATING, "A request through the Service was answered with an earlier configuration.")
    missing = sorted({model.name for model in assessment.spec.models} - answer.models) if assessment.spec else []
    if missing:
        return false(Reason.REQUEST_FAILED, f"A request through the Service did not list the model {missing[0]}.")
    return None


def _serving(_assessment: Assessment) -> ConditionResult:
    return true(Reason.SERVING, "A request through the Service was answered with the current configuration.")
