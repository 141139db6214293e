"""`recorder.EventSink` as Events of events.k8s.io/v1."""

from chatfleet_operator.kube.connection import MERGE, Connection
from chatfleet_operator.model.values import Manifest


class KubernetesEvents:
    """Events in the namespace of the object they are about (see `recorder.EventSink`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, event: Manifest) -> None:
        """Write a new Event."""
        await self._connection.write("POST", "Event", event["metadata"]["namespace"], body=event)

    async def count(self, namespace: str, name: str, series: Manifest) -> None:
        """Write how often an Event has happened."""
        await self._connection.write("PATCH", "Event", namespace, name, body={"series": series}, content_type=MERGE)
