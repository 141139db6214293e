"""`recorder.EventSink` as Events of events.k8s.io/v1."""

from chatfleet_operator.kube.connection import MERGE, Connection
from chatfleet_operator.model.values import Manifest


class KubernetesEvents:
    """In the namespace of the object that an Event is about."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, event: Manifest) -> None:
        await self._connection.write("POST", "Event", event["metadata"]["namespace"], body=event)

    async def count(self, namespace: str, name: str, series: Manifest) -> None:
        await self._connection.write("PATCH", "Event", namespace, name, body={"series": series}, content_type=MERGE)
