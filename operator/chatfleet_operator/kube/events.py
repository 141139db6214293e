"""Events of events.k8s.io/v1: `recorder.EventSink`, and what others have recorded."""

from collections.abc import Iterable
from typing import Final

from chatfleet_operator.kube.connection import MERGE, Connection
from chatfleet_operator.model.values import Manifest

NORMAL_FAILURES: Final = frozenset({"FailedBinding"})
"""Reasons of failures that Kubernetes records as Normal: a volume claim without any StorageClass."""

REPEATED: Final = frozenset({"ExternalProvisioning", "Provisioning"})
"""Reasons that recur between two failures of the same volume claim, whatever its state."""


def newest_failure(events: Iterable[Manifest]) -> str:
    """Return the note of the newest of `events`; empty: there is none, or it is not about a failure."""
    newest = max((each for each in events if each.get("reason") not in REPEATED), key=_last_time, default={})
    failed = newest.get("type") == "Warning" or newest.get("reason") in NORMAL_FAILURES
    return str(newest.get("note") or "") if failed else ""


def _last_time(event: Manifest) -> str:
    """Return when an event has happened last: by its series, or as older reporters write it."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("deprecatedLastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), str(event["metadata"].get("creationTimestamp")))


class KubernetesEvents:
    """In the namespace of the object that an Event is about."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, event: Manifest) -> None:
        await self._connection.write("POST", "Event", event["metadata"]["namespace"], body=event)

    async def count(self, namespace: str, name: str, series: Manifest) -> None:
        await self._connection.write("PATCH", "Event", namespace, name, body={"series": series}, content_type=MERGE)
