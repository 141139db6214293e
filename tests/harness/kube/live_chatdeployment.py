"""One namespace with one ChatDeployment in it, as people see it through kubectl."""

from collections.abc import Callable
from typing import Any

import yaml

from chatfleet_operator.children.kinds import BY_NAME
from chatfleet_operator.model.values import Manifest, Ref
from harness.kube.kubectl import Kubectl
from harness.kube.operated_cluster import document, resource, settled
from harness.polling import eventually

CHILDREN = tuple(f"{key.kind.lower()}/{key.name}" for key in settled(resource()))
"""Of a ChatDeployment with a managed Redis and without autoscaling, in kubectl's notation."""

WATCHED = tuple(f"{key.kind.lower()}/{key.name}" for key in settled(resource()) if BY_NAME[key.kind].watched)
"""Those whose change the operator learns of at once."""


class LiveChatDeployment:
    """One namespace with one ChatDeployment."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self._objects = kubectl.objects.within(namespace)

    def apply(self, **spec: Any) -> None:  # noqa: ANN401  # JSON
        self.kubectl.apply(yaml.safe_dump(document(Ref(self.namespace, "support"), **spec)))

    def get(self, what: str = "chatdeployment/support") -> Manifest:
        live: Manifest = self.kubectl.json("get", what, "-n", self.namespace, "--show-managed-fields")
        return live

    def count(self, *what: str) -> int:
        """Return how many of the objects exist."""
        return len(self.kubectl("get", *what, "-n", self.namespace, "--ignore-not-found", "-o", "name").split())

    def exists(self, what: str) -> bool:
        return self.count(what) == 1

    def patch(self, what: str, patch: Manifest) -> None:
        self._objects.merge(what, patch)

    def patch_status(self, what: str, status: Manifest) -> None:
        """Change the status, as the controller of the object does."""
        self._objects.merge(what, {"status": status}, "status")

    def delete(self, what: str) -> None:
        self._objects.delete(what)

    def remove(self) -> None:
        """Delete the ChatDeployment, so that no operator spends its time on it; an end for tests that share one."""
        self.delete("chatdeployment/support")

    def condition(self, kind: str) -> Manifest:
        conditions = self.get().get("status", {}).get("conditions", [])
        found: Manifest = next((each for each in conditions if each["type"] == kind), {})
        return found

    def has_condition(self, kind: str, reason: str, *words: str, generation: int | None = None) -> Callable[[], bool]:
        def check() -> bool:
            said = self.condition(kind)
            current = generation is None or said.get("observedGeneration") == generation
            return current and said.get("reason") == reason and all(word in said["message"] for word in words)

        return check

    def settles(self) -> None:
        """Wait until all children are there and the status is about the current generation."""
        eventually(lambda: self.count(*CHILDREN) == len(CHILDREN))

        def is_current() -> bool:
            live = self.get()
            current: bool = live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"]
            return current

        eventually(is_current)
