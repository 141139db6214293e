"""The rules of the conditions, as lists that read top to bottom: the first rule with a finding decides.

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
from chatfleet_operator.status.assessment import Scene, figure, rollout
from chatfleet_operator.status.finding import Finding, Rule, false, first, true, unknown
from chatfleet_operator.status.scaling import AUTOSCALING_ACTIVE

Findings: TypeAlias = Mapping[ConditionType, Finding]


def judge(scene: Scene) -> dict[ConditionType, Finding]:
    """Return what every condition says about `scene`, Ready first."""
    aspects = {
        ConditionType.PROGRESSING: first(scene, *PROGRESSING),
        ConditionType.CONFIGURATION_VALID: first(scene, *CONFIGURATION_VALID),
        ConditionType.REDIS_AVAILABLE: redis_available(scene),
        ConditionType.UPSTREAMS_AVAILABLE: upstreams_available(scene),
        ConditionType.AUTOSCALING_ACTIVE: first(scene, *AUTOSCALING_ACTIVE),
    }
    return {ConditionType.READY: ready(scene, aspects), **aspects}


# ConfigurationValid


def _unreadable_spec(scene: Scene) -> Finding | None:
    if scene.spec is None:
        return false(Reason.INVALID_SPEC, scene.seen.resource.problem)
    return None


def _needed_to_serve(key: ObjectId) -> bool:
    """Pods serve without an autoscaler; what is wrong with that, AutoscalingActive says."""
    return key.kind not in KINDS_OF_AUTOSCALERS


def _not_owned(scene: Scene) -> Finding | None:
    foreign = [key for key in scene.plan.foreign if _needed_to_serve(key)]
    if not foreign:
        return None
    which = ", ".join(map(str, foreign))
    return false(
        Reason.NOT_OWNED,
        f"{which} exists, does not belong to this ChatDeployment and is left alone; rename or delete one of the two.",
    )


def _child_rejected(scene: Scene) -> Finding | None:
    refused = {key: words for key, words in scene.refused.items() if _needed_to_serve(key)}
    if not refused:
        return None
    return false(Reason.CHILD_REJECTED, "; ".join(f"{key}: {words}" for key, words in sorted(refused.items())))


def _secret_missing(scene: Scene) -> Finding | None:
    if not scene.seen.missing_secrets:
        return None
    missing = ", ".join(f"key {ref.key} of Secret {ref.name}" for ref in scene.seen.missing_secrets)
    return false(Reason.SECRET_MISSING, f"There is no {missing}. Create it; the pods take it up without a restart.")


def _not_taken(scene: Scene) -> Finding | None:
    for report in scene.reports:
        if report.config_error and report.config != scene.digest:
            return false(
                Reason.INVALID_SPEC, f"Pod {report.pod} keeps its earlier configuration: {report.config_error}"
            )
    return None


def _valid(_scene: Scene) -> Finding:
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


def _cannot_progress(scene: Scene) -> Finding | None:
    """Nothing rolls out while the Deployment cannot be written."""
    if scene.spec is None:
        return false(Reason.BLOCKED, "Nothing rolls out while the spec cannot be read.")
    stuck = [key for key in (*scene.plan.foreign, *scene.refused) if key.kind == "Deployment"]
    if stuck:
        return false(Reason.BLOCKED, f"{stuck[0]} cannot be written; ConfigurationValid says why.")
    return None


def _deadline_exceeded(scene: Scene) -> Finding | None:
    missing = rollout(scene)
    live = scene.deployment
    if not missing or live is None:
        return None
    for condition in (live.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Progressing" and condition.get("status") == "False":
            return false(Reason.DEADLINE_EXCEEDED, f"{missing} {condition.get('message', '')}".strip())
    return None


def _rolling_out(scene: Scene) -> Finding | None:
    missing = rollout(scene)
    return true(Reason.ROLLING_OUT, missing) if missing else None


def _complete(scene: Scene) -> Finding:
    all_run = f"All {figure(scene.deployment, 'readyReplicas')} pods run the current generation."
    wanted = scene.plan.desired
    if wanted is None or wanted.revision == wanted.newest_revision:
        return false(Reason.COMPLETE, all_run)
    opt_in = f"{names.ANNOTATION_TEMPLATE_REVISION}={wanted.newest_revision}"
    newer = f"This operator has newer pod templates; to restart pods with them, annotate the resource with {opt_in}."
    return false(Reason.COMPLETE, f"{all_run} {newer}")


PROGRESSING: tuple[Rule, ...] = (_cannot_progress, _deadline_exceeded, _rolling_out, _complete)


# RedisAvailable, UpstreamsAvailable


def _say(name: str, dependency: Dependency) -> str:
    return f"{name}: {dependency.message or dependency.state.value}"


def redis_available(scene: Scene) -> Finding:
    """Judge Redis: available when every pod that tells reaches it."""
    told = {report.pod: report.redis for report in scene.reports if report.redis}
    down = {pod: redis for pod, redis in told.items() if redis.state is State.DOWN}
    if down:
        first = next(_say(f"pod {pod}", redis) for pod, redis in sorted(down.items()))
        return false(Reason.UNAVAILABLE, f"{len(down)} of {len(told)} pods do not reach Redis; {first}")
    if any(redis.state is State.UP for redis in told.values()):
        return true(Reason.CONNECTED, "Every pod that tells reaches Redis.")
    return unknown(Reason.NO_POD_REPORT, "No pod has told about Redis yet.")


_WEIGHT = {State.UNKNOWN: 0, State.DOWN: 1, State.UP: 2}


def provider_states(scene: Scene) -> dict[str, Dependency]:
    """Return each provider as the pods see it: up when one pod gets answers, down when some fail and none does."""

    def seen(name: str) -> Dependency:
        told = [report.upstreams[name] for report in scene.reports if name in report.upstreams]
        return max(told, key=lambda state: _WEIGHT[state.state], default=Dependency(state=State.UNKNOWN))

    return {provider.name: seen(provider.name) for provider in (scene.spec.providers if scene.spec else ())}


def upstreams_available(scene: Scene) -> Finding:
    """Judge the providers: available when those that were called answer."""
    states = provider_states(scene)
    down = [_say(name, state) for name, state in states.items() if state.state is State.DOWN]
    if down:
        return false(Reason.UNAVAILABLE, "; ".join(down))
    silent = [name for name, state in states.items() if state.state is State.UNKNOWN]
    if len(silent) == len(states):
        return unknown(Reason.NO_POD_REPORT, "No pod has told about an upstream yet.")
    called = "Every upstream that was called answers."
    return true(Reason.AVAILABLE, f"{called} Not called yet: {', '.join(silent)}." if silent else called)


# Ready


def ready(scene: Scene, aspects: Findings) -> Finding:
    """Judge the whole: ready when a request through the Service was answered rightly, and nothing speaks against it."""
    return first(
        scene,
        _switched_off,
        lambda _: _blocked_by(aspects, ConditionType.CONFIGURATION_VALID),
        _no_ready_pods,
        _updating,
        lambda _: _blocked_by(aspects, ConditionType.REDIS_AVAILABLE),
        _no_model_answers,
        _request_failed,
        _serving,
    )


def _switched_off(scene: Scene) -> Finding | None:
    if scene.spec is None or scene.replicas:
        return None
    if scene.spec.suspend:
        return false(Reason.SUSPENDED, "spec.suspend is set; conversations and configuration are kept.")
    whose = "The autoscaler holds it at zero pods." if scene.spec.autoscaling else "spec.replicas is 0."
    return false(Reason.SCALED_TO_ZERO, whose)


def _blocked_by(aspects: Findings, kind: ConditionType) -> Finding | None:
    finding = aspects[kind]
    if finding.status is ConditionStatus.TRUE:
        return None
    return Finding(finding.status, Reason.BLOCKED, f"{kind.value} is {finding.status.value}: {finding.message}")


def _no_ready_pods(scene: Scene) -> Finding | None:
    if any(pod.ready for pod in scene.pods):
        return None
    return false(Reason.NO_READY_PODS, f"No pod is ready. {rollout(scene)}".strip())


def _updating(scene: Scene) -> Finding | None:
    missing = rollout(scene)
    return unknown(Reason.UPDATING, missing) if missing else None


def _no_model_answers(scene: Scene) -> Finding | None:
    """One upstream less is an incident; no model left to answer is an outage."""
    states = provider_states(scene)
    models = {model.name: model for model in scene.spec.models} if scene.spec else {}

    def may_answer(model: Model) -> bool:
        chain = [model, *(models[name] for name in model.fallbacks if name in models)]
        return any(states[link.provider].state is not State.DOWN for link in chain if link.provider in states)

    if any(may_answer(model) for model in models.values()):
        return None
    return false(Reason.BLOCKED, "No model can answer: UpstreamsAvailable says why.")


def _request_failed(scene: Scene) -> Finding | None:
    answer = scene.seen.answer
    if answer is None:
        return unknown(Reason.UPDATING, "The Service has no address yet.")
    if answer.problem:
        return false(Reason.REQUEST_FAILED, f"A request through the Service failed: {answer.problem}")
    if answer.config != scene.digest:
        return unknown(Reason.UPDATING, "A request through the Service was answered with an earlier configuration.")
    missing = sorted({model.name for model in scene.spec.models} - answer.models) if scene.spec else []
    if missing:
        return false(Reason.REQUEST_FAILED, f"A request through the Service did not list the model {missing[0]}.")
    return None


def _serving(_scene: Scene) -> Finding:
    return true(Reason.SERVING, "A request through the Service was answered with the current configuration.")
