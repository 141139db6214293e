"""Which pods are scraped: the running API pods of every ChatDeployment, followed by list and watch."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from chatfleet_contract import names
from chatfleet_operator.kube import Watched
from chatfleet_operator.model.values import Manifest


class Target(NamedTuple):
    """A pod that can be scraped."""

    uid: str
    namespace: str
    name: str
    ip: str
    labels: Mapping[str, str]


def target(pod: Manifest) -> Target | None:
    """Return the scrape target of `pod`; None when it is not running or is terminating, and does not count."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    if metadata.get("deletionTimestamp") or status.get("phase") != "Running" or not status.get("podIP"):
        return None
    labels = metadata.get("labels") or {}
    return Target(metadata["uid"], metadata["namespace"], metadata["name"], status["podIP"], labels)


def trim(pod: Manifest) -> Manifest:
    """Return the fields of `pod` that `target` reads."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    kept = ("uid", "namespace", "name", "labels", "deletionTimestamp")
    return {
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "status": {key: status[key] for key in ("phase", "podIP") if key in status},
    }


API_PODS: Final = Watched("Pod", f"{names.LABEL_COMPONENT}={names.COMPONENT_API}", trim)
