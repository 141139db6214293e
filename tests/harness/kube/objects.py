"""Writes objects of any kind over a connection that stays open: kubectl takes 60 ms of CPU for each call."""

import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from harness.kube.reads import Reads, RefusedError

MANAGER: Final = "administrator"
"""Field manager of what is written by default: neither the operator's nor kubectl's."""
SECONDS: Final = 30.0
Object = dict[str, Any]


@dataclass
class Objects:
    """The objects of one namespace, `Kind/name` each; those without a namespace too."""

    reads: Reads
    namespace: str
    manager: str = MANAGER
    force: bool = True
    """Whether to take fields over from other managers."""

    @classmethod
    def connect(cls, kubeconfig: Path, namespace: str = "default") -> "Objects":
        return cls(Reads(kubeconfig), namespace)

    def within(self, namespace: str) -> "Objects":
        """Return the objects of another namespace."""
        return replace(self, namespace=namespace)

    def apply(self, manifest: Object) -> Object:
        """Create an object, or set the fields that `manifest` has, by server-side apply."""
        return self._send("PATCH", f"{_kind(manifest)}/{manifest['metadata']['name']}", manifest, "apply-patch+yaml")

    def create(self, manifest: Object) -> Object:
        """Create an object that does not exist."""
        return self._send("POST", _kind(manifest), manifest, "json")

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

    def token(self, account: str) -> str:
        """Return a token of a ServiceAccount, which is valid for an hour."""
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        made = self._send("POST", f"serviceaccount/{account}", wanted, "json", "token")
        return str(made["status"]["token"])

    def every(self, kind: str) -> list[Object]:
        """Return the objects of a kind in all namespaces."""
        resource = self.reads.resource(kind, SECONDS)
        found: list[Object] = json.loads(self.reads.request("GET", f"{resource.path}/{resource.plural}"))["items"]
        return found

    def _send(self, method: str, what: str, body: object, content: str, subresource: str = "") -> Object:
        kind, _, name = what.partition("/")
        resource = self.reads.resource(kind, SECONDS)
        where = f"/namespaces/{self.namespace}" if resource.namespaced else ""
        path = "/".join(filter(None, (f"{resource.path}{where}/{resource.plural}", name, subresource)))
        options = {"content_type": f"application/{content}"}
        if method in {"PATCH", "POST"}:
            options["fieldManager"] = self.manager
        if content == "apply-patch+yaml":
            options |= {"force": str(self.force).lower(), "fieldValidation": "Strict"}
        answer: Object = json.loads(self.reads.request(method, path, body, timeout=SECONDS, **options))
        return answer


def _kind(manifest: Object) -> str:
    """Return the kind, with its group, of an object."""
    group = manifest["apiVersion"].rpartition("/")[0]
    return f"{manifest['kind']}.{group}" if group else str(manifest["kind"])
