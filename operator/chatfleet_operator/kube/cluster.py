"""`ports.Cluster` on a real API server."""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.status import ChatDeploymentStatus
from chatfleet_operator.children.kinds import BY_NAME
from chatfleet_operator.children.redis import blank_generated, generated_values
from chatfleet_operator.kube.connection import APPLY, JSON_PATCH, MERGE, Connection, NotFound
from chatfleet_operator.kube.events import newest_failure
from chatfleet_operator.kube.token_issuer import DiscoveredIssuer
from chatfleet_operator.model.errors import RefusalReason, Refused
from chatfleet_operator.model.named_secrets import NamedSecret
from chatfleet_operator.model.ownership import GENERATE_MANAGER, SCALE_MANAGER
from chatfleet_operator.model.parse import blank_values, parse_resource, parse_secret
from chatfleet_operator.model.token_issuer import TokenIssuer
from chatfleet_operator.model.values import (
    Deletion,
    Manifest,
    ObjectId,
    Ref,
    Removal,
    Resource,
    Timestamp,
    identify,
)

PASSWORD_BYTES: Final = 32
"""Randomness in a generated password."""

OF_NO_OBJECT: Final = "1"
"""A resourceVersion that no object has: etcd's first revision is empty.

Server-side apply creates what is absent and compares the version of what exists. So it conflicts with an object that
was created since we looked, instead of taking it over by force.
"""


class KubernetesCluster:
    """The API server, as far as one ChatDeployment needs it (see `ports.Cluster`)."""

    def __init__(self, connection: Connection, operator: str) -> None:
        """`operator` is the namespace of this operator, by which others recognize what it has applied."""
        self._connection = connection
        self._operator = operator
        self._issuer = DiscoveredIssuer(connection, time.monotonic)

    async def resource(self, ref: Ref) -> Resource | None:
        live = await self._get(names.KIND, ref.namespace, ref.name)
        return parse_resource(live) if live else None

    async def child(self, namespace: str, key: ObjectId) -> Manifest | None:
        live = await self._get(key.kind, namespace, key.name)
        return blank_generated(live) if live else None

    async def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[Manifest]:
        chosen = ",".join(f"{key}={value}" for key, value in labels.items())
        response = await self._connection.read("Pod", namespace, query={"labelSelector": chosen})
        pods: list[Manifest] = response["items"]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    async def event(self, namespace: str, uid: str) -> str:
        response = await self._connection.read("Event", namespace, query={"fieldSelector": f"regarding.uid={uid}"})
        return newest_failure(response["items"])

    async def secret(self, namespace: str, name: str, redis_url_key: str = "") -> NamedSecret:
        return parse_secret(await self._get("Secret", namespace, name), redis_url_key)

    async def token_issuer(self) -> TokenIssuer:
        return await self._issuer.current()

    async def apply(self, manifest: Manifest, uid: str | None) -> Manifest:
        precondition = {"uid": uid} if uid else {"resourceVersion": OF_NO_OBJECT}
        ours = self._signed(manifest)
        body = {**ours, "metadata": {**ours["metadata"], **precondition}}
        return await self._apply(body, names.FIELD_MANAGER)

    def _signed(self, manifest: Manifest) -> Manifest:
        """Return `manifest` with the annotation that names this operator."""
        head: Manifest = manifest["metadata"]
        annotations = {**(head.get("annotations") or {}), names.ANNOTATION_OPERATOR: self._operator}
        return {**manifest, "metadata": {**head, "annotations": annotations}}

    async def hand_over_replicas(self, manifest: Manifest) -> Manifest:
        return await self._apply(manifest, SCALE_MANAGER)

    async def start(self, manifest: Manifest) -> None:
        key, query = identify(manifest), {"fieldManager": SCALE_MANAGER}
        where = (key.kind, manifest["metadata"]["namespace"], key.name)
        await self._connection.write("PATCH", *where, body=manifest, query=query, content_type=MERGE)

    async def _apply(self, body: Manifest, manager: str) -> Manifest:
        key = identify(body)
        query = {"fieldManager": manager, "force": "true"}
        try:
            live = await self._connection.write(
                "PATCH", key.kind, body["metadata"]["namespace"], key.name, body=body, query=query, content_type=APPLY
            )
        except NotFound as error:  # not the object, which would be created, but its kind or the namespace
            reason = RefusalReason.NO_KIND if BY_NAME[key.kind].optional_crd else RefusalReason.REJECTED
            raise Refused(str(error), reason) from error
        return blank_values(live)

    async def remove_fields(self, namespace: str, removal: Removal) -> Manifest:
        unchanged = {"op": "replace", "path": "/metadata/resourceVersion", "value": removal.version}
        body = [unchanged, *({"op": "remove", "path": pointer} for pointer in removal.pointers)]
        key, query = removal.id, {"fieldManager": names.FIELD_MANAGER}
        return await self._connection.write(
            "PATCH", key.kind, namespace, key.name, body=body, query=query, content_type=JSON_PATCH
        )

    async def generate(self, secret: Manifest) -> Manifest:
        metadata = secret["metadata"]
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        body = {**self._signed(secret), "data": generated_values(secret, password)}
        query = {"fieldManager": GENERATE_MANAGER}
        return blank_values(
            await self._connection.write("POST", "Secret", metadata["namespace"], body=body, query=query)
        )

    async def delete(self, namespace: str, deletion: Deletion) -> None:
        unchanged = {"resourceVersion": deletion.version} if deletion.version else {}
        body: Manifest = {"preconditions": {"uid": deletion.uid, **unchanged}, "propagationPolicy": "Background"}
        try:
            await self._connection.write("DELETE", deletion.id.kind, namespace, deletion.id.name, body=body)
        except NotFound:
            return

    async def refresh_config(self, namespace: str, pod: str, digest: str) -> None:
        await self._annotate(namespace, ObjectId("Pod", pod), {names.ANNOTATION_CONFIG_HASH: digest})

    async def refresh_secrets(self, namespace: str, pod: str, digest: str) -> None:
        await self._annotate(namespace, ObjectId("Pod", pod), {names.ANNOTATION_SECRETS_HASH: digest})

    async def set_deletion_cost(self, namespace: str, pod: str, cost: int, now: Timestamp) -> None:
        annotations = {names.POD_DELETION_COST: str(cost), names.ANNOTATION_DELETION_COST_TIME: now}
        await self._annotate(namespace, ObjectId("Pod", pod), annotations)

    async def retry(self, namespace: str, key: ObjectId, now: Timestamp) -> None:
        await self._annotate(namespace, key, {names.ANNOTATION_RETRY_TIME: now})

    async def _annotate(self, namespace: str, key: ObjectId, annotations: Mapping[str, str]) -> None:
        body: Manifest = {"metadata": {"annotations": dict(annotations)}}
        query = {"fieldManager": names.FIELD_MANAGER}
        try:
            await self._connection.write(
                "PATCH", *(key.kind, namespace, key.name), body=body, query=query, content_type=MERGE
            )
        except NotFound:
            return

    async def write_status(self, resource: Resource, status: ChatDeploymentStatus) -> None:
        ref = resource.ref
        body: Manifest = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": ref.name, "namespace": ref.namespace, "resourceVersion": resource.version},
            "status": status.document(),
        }
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
        await self._connection.write(
            "PATCH", names.KIND, ref.namespace, ref.name, "status", body=body, query=query, content_type=APPLY
        )

    async def _get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        try:
            return await self._connection.read(kind, namespace, name)
        except NotFound:
            return None
