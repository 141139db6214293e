"""Writes objects of any kind over a connection that stays open: kubectl takes 60 ms of CPU for each call."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from harness.kube.reads import Reads, RefusedError

MANAGER: Final = "administrator"
"""Field manager of what is written: neither the operator's nor kubectl's."""
SECONDS: Final = 30.0
Object = dict[str, Any]


@dataclass
class Objects:
    """The objects of one namespace, `Kind/name` each; those without a namespace too."""

    reads: Reads
    namespace: str

    @classmethod
    def connect(cls, kubeconfig: Path, namespace: str = "default") -> "Objects":
        return cls(Reads(kubeconfig), namespace)

    def within(self, namespace: str) -> "Objects":
        """Return the objects of another namespace."""
        return Objects(self.reads, namespace)

    def apply(self, manifest: Object) -> Object:
        """Create an object, or set the fields that `manifest` has, by server-side apply."""
        group = manifest["apiVersion"].rpartition("/")[0]
        kind = f"{manifest['kind']}.{group}" if group else manifest["kind"]
        return self._send("PATCH", f"{kind}/{manifest['metadata']['name']}", manifest, "apply-patch+yaml")

    def merge(self, what: str, patch: Object, subresource: str = "") -> Object:
        """Change fields of an object; None removes one."""
        return self._send("PATCH", what, patch, "merge-patch+json", subresource)

    def patch(self, what: str, *operations: Object) -> Object:
        """Change an object by a JSON patch."""
        return self._send("PATCH", what, list(operations), "json-patch+json")

    def delete(self, what: str, grace_seconds: int | None = None) -> None:
        """Delete an object, in the background; one that does not exist is deleted already."""
        options = {"propagationPolicy": "Background", "gracePeriodSeconds": grace_seconds}
        try:
            self._send("DELETE", what, options, "json")
        except RefusedError as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                raise

    def get(self, what: str) -> Object | None:
        """Return an object; None: there is none."""
        try:
            return self._send("GET", what, None, "json")
        except RefusedError as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def every(self, kind: str) -> list[Object]:
        """Return the objects of a kind in all namespaces."""
        resource = self.reads.resource(kind, SECONDS)
        found: list[Object] = json.loads(self.reads.request("GET", f"{resource.path}/{resource.plural}"))["items"]
        return found

    def _send(self, method: str, what: str, body: object, content: str, subresource: str = "") -> Object:
        kind, _, name = what.partition("/")
        resource = self.reads.resource(kind, SECONDS)
        where = f"/namespaces/{self.namespace}" if resource.namespaced else ""
        path = "/".join(filter(None, (f"{resource.path}{where}/{resource.plural}/{name}", subresource)))
        options = {"content_type": f"application/{content}"}
        if method == "PATCH":
            options["fieldManager"] = MANAGER
        if content == "apply-patch+yaml":
            options["force"] = "true"
        answer: Object = json.loads(self.reads.request(method, path, body, timeout=SECONDS, **options))
        return answer
