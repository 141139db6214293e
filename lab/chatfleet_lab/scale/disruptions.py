"""What happens to pods in the life of a ChatDeployment: scale-downs, rollouts, evictions, suspension; by kubectl."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias
from uuid import uuid4

from chatfleet_lab.scale.series import Cluster
from harness.polling import eventually_async

Looks: TypeAlias = Callable[[Sequence[str]], bool]
"""Whether the pods, by their names, are as expected."""
PATIENCE_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.5


class ClusterActions:
    """What a platform team does to one ChatDeployment."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def scale(self, replicas: int) -> None:
        """Scale, and wait until so many are ready and the others end."""
        await self._cluster.run("scale", f"chatdeployment/{self._cluster.name}", f"--replicas={replicas}")
        await self._settled(replicas)

    async def roll_out(self) -> None:
        """Change the pods' template, and wait until all pods are of the new one."""
        marked = {"spec": {"template": {"annotations": {"chatfleet.test/rollout": str(uuid4())}}}}
        before = await self._pods()
        await self._patch(marked)
        await self._until(lambda pods: not {*pods} & {*before})
        await self._settled(len(before))

    async def evict(self) -> None:
        """Evict one pod, as the drain of a node does, and wait for its successor."""
        before = await self._pods()
        pod = before[0]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self._cluster.namespace}/pods/{pod}/eviction"
        await self._cluster.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
        await self._until(lambda pods: pod not in pods)
        await self._settled(len(before))

    async def suspend(self, *, suspended: bool) -> None:
        """Suspend or resume."""
        await self._patch({"spec": {"suspend": suspended}})

    async def gone(self) -> None:
        """Wait until no pod is left, not even one that still ends its streams."""
        await self._until(lambda pods: not pods, also_ending=True)

    async def _patch(self, change: dict[str, Any]) -> None:
        await self._cluster.run(
            "patch", f"chatdeployment/{self._cluster.name}", "--type=merge", "-p", json.dumps(change)
        )

    async def _pods(self, *, also_ending: bool = False) -> list[str]:
        """Return the pods, without those that are on their way out."""
        found = json.loads(await self._cluster.run("get", "pods", "-l", self._cluster.selector, "-o", "json"))["items"]
        alive = [pod["metadata"] for pod in found if also_ending or "deletionTimestamp" not in pod["metadata"]]
        return sorted(pod["name"] for pod in alive)

    async def _until(self, holds: Looks, *, also_ending: bool = False) -> None:
        async def so() -> bool:
            return holds(await self._pods(also_ending=also_ending))

        await eventually_async(so, seconds=PATIENCE_SECONDS, every=LOOK_SECONDS)

    async def _settled(self, replicas: int) -> None:
        """Wait until exactly so many pods are there and ready, besides those on their way out."""

        async def so() -> bool:
            seen = await self._cluster.replicas()
            return seen.ready == seen.pods == replicas and len(await self._pods()) == replicas

        await eventually_async(so, seconds=PATIENCE_SECONDS, every=LOOK_SECONDS)
