"""The facts that conditions are evaluated on: what was observed, planned and done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatfleet_contract import names
from chatfleet_contract.report import PodReport
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import Condition, ConditionStatus, ConditionType, Reason
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.moments import seconds_between
from chatfleet_operator.model.ownership import is_ours
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Outcome, Plan, Pod, Timestamp, deployment_id


@dataclass(frozen=True, slots=True)
class Assessment:
    seen: Observed
    plan: Plan
    outcome: Outcome
    now: Timestamp = ""

    @property
    def paused_since(self) -> Timestamp:
        """Time of the first reconciliation that found the annotation."""
        before = self.before(ConditionType.PROGRESSING)
        return before.last_transition_time if before and before.reason == Reason.PAUSED else self.now

    @property
    def spec(self) -> ChatDeploymentSpec | None:
        """None: it cannot be read."""
        return self.seen.resource.spec

    @property
    def replicas(self) -> int:
        """Pods that should run; with autoscaling, as many as the autoscaler has set."""
        if self.spec is None or self.spec.suspend:
            return 0
        if self.spec.autoscaling is None:
            return self.spec.replicas
        live = self.deployment
        return int(live["spec"].get("replicas") or 0) if live else self.spec.autoscaling.min_replicas

    @property
    def required_replicas(self) -> int:
        """Pods that must be ready before the generation counts as rolled out: an autoscaler may add more later."""
        if self.spec is None or self.spec.autoscaling is None:
            return self.replicas
        return min(self.replicas, max(1, self.spec.autoscaling.min_replicas))

    @property
    def digest(self) -> str | None:
        """The configuration that pods should serve."""
        return self.plan.desired.config.digest() if self.plan.desired else None

    @property
    def refused(self) -> Mapping[ObjectId, Refusal]:
        """Objects that the API server would not show or accept."""
        return {**self.seen.unreadable, **self.outcome.refused}

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Pods that are not terminating."""
        return tuple(pod for pod in self.seen.pods if not pod.terminating)

    @property
    def reports(self) -> tuple[PodReport, ...]:
        """Reports of the pods that are not terminating."""
        return tuple(pod.report for pod in self.pods if pod.report)

    @property
    def ready_pods(self) -> tuple[Pod, ...]:
        """Pods to which the Service leads."""
        return tuple(pod for pod in self.pods if pod.ready)

    def before(self, kind: ConditionType) -> Condition | None:
        """Return a condition as the last reconciliation has reported it."""
        return next((each for each in self.seen.resource.status.conditions or () if each.type == kind), None)

    def seconds_false(self, kind: ConditionType) -> float:
        """Return for how long a condition that is False now has been; 0: since now."""
        before = self.before(kind)
        was_false = before is not None and before.status is ConditionStatus.FALSE
        return seconds_between(before.last_transition_time, self.now) if before and was_false else 0.0

    def child(self, key: ObjectId) -> Manifest | None:
        """Return our object as it is after this reconciliation; None: it is absent or not ours."""
        live = self.outcome.applied.get(key) or self.seen.children.get(key)
        return live if live and is_ours(live, self.seen.resource) else None

    @property
    def deployment(self) -> Manifest | None:
        """The Deployment of the API pods."""
        return self.child(deployment_id(self.seen.resource.ref))

    @property
    def redis(self) -> Manifest | None:
        """The StatefulSet of a managed Redis."""
        return self.child(ObjectId("StatefulSet", names.redis_name(self.seen.resource.ref.name)))


def status_int(workload: Manifest | None, name: str) -> int:
    """Return one number of a workload's status; 0 when it is absent."""
    status: dict[str, Any] = (workload or {}).get("status") or {}
    return int(status.get(name) or 0)


def is_observed(workload: Manifest) -> bool:
    """Whether the workload's controller has observed its newest generation, so that its status is about it."""
    return status_int(workload, "observedGeneration") >= int(workload["metadata"].get("generation") or 0)
