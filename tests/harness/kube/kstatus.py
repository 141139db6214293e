"""What tools that wait by kstatus (Flux, kpt, `helm --wait`) take for the state of a custom resource.

The rules are those of its documentation, sigs.k8s.io/cli-utils/pkg/kstatus: deletion, the observed generation, the
conditions Reconciling and Stalled in the order of the list, then Ready; with none of them an object is Current.
"""

from typing import Any


def kstatus(live: dict[str, Any]) -> str:
    """Return InProgress, Current, Failed or Terminating."""
    metadata, status = live["metadata"], live.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions") or []
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] in {"Reconciling", "Stalled"}:
            return "InProgress" if condition["type"] == "Reconciling" else "Failed"
    ready = next((each["status"] for each in conditions if each["type"] == "Ready"), "True")
    return "Current" if ready == "True" else "InProgress"
