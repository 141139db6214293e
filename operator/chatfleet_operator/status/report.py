"""The status document, and which conditions changed."""

from collections.abc import Iterator

from chatfleet_contract import names
from chatfleet_contract.status import MAX_CONDITION_MESSAGE, ChatDeploymentStatus, Condition, ConditionType, UsageOfDay
from chatfleet_operator.children.labels import selector
from chatfleet_operator.model.values import Observed, Outcome, Plan, Resource, Timestamp
from chatfleet_operator.status.assessment import Assessment, status_int
from chatfleet_operator.status.conditions import SUMMARIES, evaluate_conditions
from chatfleet_operator.status.conditions.result import ConditionResult
from chatfleet_operator.status.exposure import external_url, internal_url


def report(seen: Observed, plan: Plan, outcome: Outcome, now: Timestamp) -> ChatDeploymentStatus:
    """Return the status after a reconciliation that ended at `now`."""
    assessment = Assessment(seen, plan, outcome, now)
    resource, spec = seen.resource, seen.resource.spec
    own_selector = selector(resource.ref.name, names.COMPONENT_API)
    return ChatDeploymentStatus(
        observed_generation=resource.generation,
        desired_replicas=assessment.replicas if spec else None,
        replicas=status_int(assessment.deployment, "replicas"),
        ready_replicas=status_int(assessment.deployment, "readyReplicas"),
        selector=",".join(f"{key}={value}" for key, value in sorted(own_selector.items())),
        url=internal_url(assessment),
        external_url=external_url(assessment),
        active_streams=sum(pod.report.active_streams for pod in seen.pods if pod.report),
        tokens_per_second=_tokens_per_second(seen),
        usage=_usage(seen),
        budget_used_percent=_budget_used(seen),
        template_revision=plan.desired.revision if plan.desired else resource.status.template_revision,
        redis=("managed" if spec.redis.managed else "external") if spec else None,
        models=[model.name for model in spec.models] if spec else None,
        conditions=[
            _condition(resource, kind, result, now) for kind, result in evaluate_conditions(assessment).items()
        ],
    )


def _tokens_per_second(seen: Observed) -> int | None:
    """Return the sum over the pods that report it; None: no pod does."""
    reported = [pod.report.tokens_per_second for pod in seen.pods if pod.report]
    rates = [rate for rate in reported if rate is not None]
    return round(sum(rates)) if rates else None


def _usage(seen: Observed) -> UsageOfDay | None:
    """Return the newest of the sums that pods report, which all read the same; else those that are known."""
    known = seen.resource.status.usage
    reported = [pod.report.usage for pod in seen.pods if pod.report and pod.report.usage]
    if not reported:
        return known
    newest = max(reported, key=lambda usage: (usage.day, usage.input_tokens + usage.output_tokens))
    if known is not None and known.day > newest.day:
        return known
    return UsageOfDay(
        day=newest.day,
        input_tokens=newest.input_tokens,
        output_tokens=newest.output_tokens,
        cost_usd=newest.cost_usd,
    )


def _budget_used(seen: Observed) -> int | None:
    """Return the most that a pod has seen of it, in whole percent: 100 only when all is used."""
    reported = [pod.report.budget_used for pod in seen.pods if pod.report]
    return max((int(share * 100) for share in reported if share is not None), default=None)


def transitions(before: ChatDeploymentStatus, after: ChatDeploymentStatus) -> Iterator[Condition]:
    """Yield the conditions of `after` whose status or reason was different in `before`, without the summaries."""
    known = {condition.type: (condition.status, condition.reason) for condition in before.conditions or ()}
    for condition in after.conditions or ():
        if condition.type not in SUMMARIES and known.get(condition.type) != (condition.status, condition.reason):
            yield condition


def _condition(resource: Resource, kind: ConditionType, result: ConditionResult, now: Timestamp) -> Condition:
    before = next((known for known in resource.status.conditions or () if known.type == kind), None)
    unchanged = before is not None and before.status is result.status
    return Condition(
        type=kind.value,
        status=result.status,
        reason=result.reason.value,
        message=result.message[:MAX_CONDITION_MESSAGE],  # a longer one would cost the whole status
        observed_generation=resource.generation,
        last_transition_time=before.last_transition_time if before and unchanged else now,
    )
