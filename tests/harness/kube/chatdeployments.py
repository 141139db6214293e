"""The ChatDeployments of one API server, asked and answered as it does: what is refused comes back with every cause."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config

from chatfleet_contract import names

Document = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """One thing that the API server finds wrong."""

    message: str
    reason: str = ""
    field: str = ""


class RefusedError(Exception):
    """The API server does not take the document."""

    def __init__(self, answer: str) -> None:
        told = json.loads(answer)
        super().__init__(told.get("message"))
        self.causes = [Cause(**each) for each in told.get("details", {}).get("causes", [])]


PLACE: dict[str, Any] = {
    "group": names.GROUP,
    "version": names.VERSION,
    "namespace": "default",
    "plural": names.PLURAL,
}
TRIED: dict[str, Any] = {"dry_run": "All", "field_validation": "Strict"}


@dataclass(frozen=True)
class ChatDeployments:
    """Create and replace. What is only tried is decided by the server like the rest, but not kept."""

    api: client.CustomObjectsApi

    @classmethod
    @contextmanager
    def connect(cls, kubeconfig: Path) -> Iterator[Self]:
        """Open a connection with the rights of `kubeconfig`."""
        with config.new_client_from_config(str(kubeconfig)) as connection:  # type: ignore[no-untyped-call]
            yield cls(client.CustomObjectsApi(connection))

    def try_create(self, document: Document) -> Document:
        """Return the document as the server would keep it, with the defaults filled in."""
        with refusals():
            return _document(self.api.create_namespaced_custom_object(**PLACE, body=document, **TRIED))

    def try_replace(self, document: Document) -> Document:
        """Try to put `document` in the place of the one of its name."""
        put = self.api.replace_namespaced_custom_object
        with refusals():
            return _document(put(**PLACE, name=document["metadata"]["name"], body=document, **TRIED))

    def try_replace_status(self, document: Document) -> Document:
        """Try to put the status of `document` in the place of the one that is there."""
        put = self.api.replace_namespaced_custom_object_status
        with refusals():
            return _document(put(**PLACE, name=document["metadata"]["name"], body=document, **TRIED))

    def create(self, document: Document) -> Document:
        """Create `document`, and keep it."""
        with refusals():
            return _document(self.api.create_namespaced_custom_object(**PLACE, body=document))

    @contextmanager
    def kept(self, document: Document) -> Iterator[Document]:
        """Create `document` for the time of the body."""
        created = self.create(document)
        try:
            yield created
        finally:
            self.api.delete_namespaced_custom_object(**PLACE, name=document["metadata"]["name"])


def _document(answer: object) -> Document:
    assert isinstance(answer, dict)
    return answer


@contextmanager
def refusals() -> Iterator[None]:
    """Turn the client's error into ours, with the causes."""
    try:
        yield
    except client.ApiException as refused:
        raise RefusedError(refused.body or "{}") from refused
