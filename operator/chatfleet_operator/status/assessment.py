"""The facts that conditions are judged by, drawn once from what was seen, planned and done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatfleet_contract import names
from chatfleet_contract.report import PodReport
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.model.ownership import is_ours
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Outcome, Plan, Pod


@dataclass(frozen=True, slots=True)
class Assessment:
    """One pass, looked back on."""

    seen: Observed
    plan: Plan
    outcome: Outcome

    @property
    def spec(self) -> ChatDeploymentSpec | None:
        """The spec, if it can be read."""
        return self.seen.resource.spec

    @property
    def replicas(self) -> int:
        """Pods that should run; with autoscaling, as many as the autoscaler says."""
        if self.spec is None or self.spec.suspend:
            return 0
        if self.spec.autoscaling is None:
            return self.spec.replicas
        live = self.deployment
        return int(live["spec"].get("replicas") or 0) if live else self.spec.autoscaling.min_replicas

    @property
    def enough(self) -> int:
        """Pods that must be ready before the generation counts as rolled out: an autoscaler may want more by and by."""
        if self.spec is None or self.spec.autoscaling is None:
            return self.replicas
        return min(self.replicas, max(1, self.spec.autoscaling.min_replicas))

    @property
    def digest(self) -> str | None:
        """The configuration that pods should serve."""
        return self.plan.desired.config.digest() if self.plan.desired else None

    @property
    def refused(self) -> Mapping[ObjectId, str]:
        """Objects that the API server would not show or take, with its words."""
        return {**self.seen.unreadable, **self.outcome.refused}

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Pods that are to stay."""
        return tuple(pod for pod in self.seen.pods if not pod.terminating)

    @property
    def reports(self) -> tuple[PodReport, ...]:
        """What the pods that are to stay reading about themselves."""
        return tuple(pod.report for pod in self.pods if pod.report)

    def child(self, kind: str, name: str) -> Manifest | None:
        """Return our object as it stands after this pass; None: it is not there, or not ours."""
        key = ObjectId(kind, name)
        live = self.outcome.applied.get(key) or self.seen.children.get(key)
        return live if live and is_ours(live, self.seen.resource) else None

    @property
    def deployment(self) -> Manifest | None:
        """The Deployment of the API pods."""
        return self.child("Deployment", self.seen.resource.ref.name)

    @property
    def redis(self) -> Manifest | None:
        """The StatefulSet of a managed Redis."""
        return self.child("StatefulSet", names.redis_name(self.seen.resource.ref.name))


def status_int(workload: Manifest | None, name: str) -> int:
    """Return one number of a workload's status; 0 when it is not there."""
    status: dict[str, Any] = (workload or {}).get("status") or {}
    return int(status.get(name) or 0)


def is_observed(workload: Manifest) -> bool:
    """Say whether the workload's controller has seen its newest generation, so that its figures count."""
    return status_int(workload, "observedGeneration") >= int(workload["metadata"].get("generation") or 0)


def rollout(assessment: Assessment) -> str:
    """Return what still keeps the current generation from being complete, as a sentence; empty: nothing."""
    if assessment.outcome.unfinished:
        return f"The API server has not taken everything yet: {assessment.outcome.unfinished}"
    return _workload(assessment) or _redis(assessment) or _configuration(assessment)


def _workload(assessment: Assessment) -> str:
    live, wanted = assessment.deployment, assessment.enough
    if live is None or not is_observed(live):
        return "The Deployment is about to roll out."
    updated, ready = status_int(live, "updatedReplicas"), status_int(live, "readyReplicas")
    if updated < wanted:
        return f"{updated} of {wanted} pods have the current template."
    if status_int(live, "replicas") > updated:
        return f"Pods of an earlier template that are still there: {status_int(live, 'replicas') - updated}."
    if ready < wanted or status_int(live, "availableReplicas") < wanted:
        return f"{ready} of {wanted} pods are ready."
    return ""


def _redis(assessment: Assessment) -> str:
    if assessment.spec is None or assessment.spec.redis.managed is None:
        return ""
    live = assessment.redis
    if live is None or not is_observed(live) or status_int(live, "updatedReplicas") < 1:
        return "The managed Redis is about to roll out."
    return "" if status_int(live, "readyReplicas") else "The managed Redis is not ready."


def _configuration(assessment: Assessment) -> str:
    serving = [pod.report for pod in assessment.pods if pod.ready]
    current = sum(report is not None and report.config == assessment.digest for report in serving)
    if current < len(serving):
        return f"{current} of {len(serving)} pods serve the current configuration."
    return ""
