"""Which pods there are to scrape: one list, then a watch, of the API pods of every ChatDeployment."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from chatfleet_contract import names
from chatfleet_operator.kube import Connection
from chatfleet_operator.model.errors import ClusterError, Retry
from chatfleet_operator.model.values import Manifest

SELECTOR: Final = f"{names.LABEL_COMPONENT}={names.COMPONENT_API}"
PAGE: Final = "500"
WATCH_SECONDS: Final = 60
"""Length of one watch. The next goes on where it ended, so that one that has fallen silent is missed for a minute."""
RETRY_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


class Target(NamedTuple):
    """A pod that can be asked."""

    uid: str
    namespace: str
    name: str
    ip: str
    labels: Mapping[str, str]


def target(pod: Manifest) -> Target | None:
    """Return how to ask `pod`; None: it is not running, or on its way out, and has no say in how many are needed."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    if metadata.get("deletionTimestamp") or status.get("phase") != "Running" or not status.get("podIP"):
        return None
    labels = metadata.get("labels") or {}
    return Target(metadata["uid"], metadata["namespace"], metadata["name"], status["podIP"], labels)


class Known(Protocol):
    """Where pods are known."""

    def replace(self, found: list[Manifest]) -> None:
        """Know these pods and no others."""
        ...

    def see(self, pod: Manifest, *, gone: bool = False) -> None:
        """Take over what `pod` is now."""
        ...


async def follow(connection: Connection, pods: Known, listed: Callable[[], None]) -> None:
    """Keep `pods` up to date for ever; `listed` is called each time that they are complete.

    While the API server is away the last known pods stay: they are still scraped, and tell themselves if they are gone.
    """
    while True:
        try:
            version = await _list(connection, pods)
            listed()
            while True:
                version = await _watch(connection, pods, version)
        except ClusterError as error:
            logger.warning("the pods are listed anew: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


async def _list(connection: Connection, pods: Known) -> str:
    found: list[Manifest] = []
    query = {"labelSelector": SELECTOR, "limit": PAGE}
    while True:
        page = await connection.read("Pod", "", query=query)
        found += page["items"]
        following = page["metadata"].get("continue")
        if not following:
            pods.replace(found)
            return str(page["metadata"]["resourceVersion"])
        query = {**query, "continue": following}


async def _watch(connection: Connection, pods: Known, version: str) -> str:
    query = {"labelSelector": SELECTOR, "resourceVersion": version, "allowWatchBookmarks": "true"}
    async for event in connection.watch("Pod", query, WATCH_SECONDS):
        pod = event["object"]
        match event["type"]:
            case "ERROR":  # the version is too old, mostly
                raise Retry(str(pod.get("message", "the watch failed")))
            case "BOOKMARK":
                pass
            case kind:
                pods.see(pod, gone=kind == "DELETED")
        version = pod["metadata"]["resourceVersion"]
    return version
