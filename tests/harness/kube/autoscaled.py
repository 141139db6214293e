"""A ChatDeployment whose number of pods the real autoscaler sets, and pods whose metrics a test sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatfleet_contract import metrics, names
from harness.kube.figures import Fault, Figures
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.polling import eventually, remains

DEPLOYMENT = "deployment/support"
SYNC = 1
"""Seconds between two looks of the autoscaler."""
LOOKS = 5
"""Looks for which nothing may change, after the outage is in the condition."""
REPORTED_WITHIN = 60
BUSY = 10
"""Streams that one pod should carry."""
AUTOSCALING = {
    "minReplicas": 1,
    "maxReplicas": 4,
    "metrics": [{"type": "ActiveStreams", "averageValue": str(BUSY)}],
    "behavior": {
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 9, "periodSeconds": 1}],
        }
    },
}
"""Down at once: what keeps a pod here is no patience."""


@dataclass
class Fleet:
    """One ChatDeployment."""

    chatdeployment: LiveChatDeployment
    figures: list[Figures] = field(default_factory=list)
    before: tuple[int, int] = (0, 0)

    def live(self) -> tuple[int, int]:
        """Return how many pods are wanted, and the Deployment's generation: no change, of whatever, escapes that."""
        live = self.chatdeployment.get(DEPLOYMENT)
        return live["spec"]["replicas"], live["metadata"]["generation"]

    def pods(self) -> list[str]:
        """Return the names of the API pods."""
        chosen = f"{names.LABEL_COMPONENT}={names.COMPONENT_API}"
        listed = self.chatdeployment.kubectl.json("get", "pods", "-n", self.chatdeployment.namespace, "-l", chosen)[
            "items"
        ]
        return [each["metadata"]["name"] for each in listed]

    def has(self, pods: int) -> bool:
        """Return whether there are so many pods."""
        return len(self.pods()) == pods

    def set_metrics(self, streams: float) -> None:
        """Set the open streams of each pod."""
        for pod in self.figures:
            pod.samples[metrics.ACTIVE_STREAMS] = streams

    def inject(self, faults: Sequence[Fault | None]) -> None:
        """Let each pod fail in its own way; None: it is well."""
        for pod, fault in zip(self.figures, faults, strict=True):
            pod.fault = fault

    def works(self) -> bool:
        """Return whether the number of pods follows what they have to do."""
        return self.chatdeployment.has_condition("AutoscalingActive", "Scaling")()

    def settles(self, pods: int) -> None:
        """Wait until it works, with so many pods, and remember that."""
        eventually(self.works, seconds=60, every=0.5)
        eventually(lambda: self.live()[0] == pods, seconds=60, every=0.5)
        self.before = self.live()

    def stands_still(self, *words: str) -> None:
        """See that the outage is reported in time, and that nothing has changed then, nor some looks later."""
        eventually(
            self.chatdeployment.has_condition("AutoscalingActive", "MetricsUnavailable", *words),
            seconds=REPORTED_WITHIN,
            every=0.5,
        )
        assert self.chatdeployment.condition("AutoscalingActive")["status"] == "False"
        remains(lambda: self.live() == self.before, seconds=LOOKS * SYNC)
        assert not self.works()

    def shrinks(self) -> None:
        """See that the same load, now that it can be read, takes pods away: the outage alone has kept them."""
        eventually(lambda: self.live()[0] == 1, seconds=60, every=0.5)
        eventually(self.works, every=0.5)
