"""The metadata of a child: labels, owner reference, hash of what was applied last."""

import hashlib
import json
from typing import NamedTuple

from chatfleet_contract import names
from chatfleet_operator.children.kinds import Kind
from chatfleet_operator.model.values import Manifest, Ref


class Owner(NamedTuple):
    ref: Ref
    uid: str


def selector(name: str, component: str) -> dict[str, str]:
    """Return the labels by which a component's pods are selected; they never change after creation."""
    return {names.LABEL_DEPLOYMENT: name, names.LABEL_COMPONENT: component}


def traffic(name: str) -> dict[str, str]:
    """Return the labels of all pods that answer callers, whatever their component."""
    return {names.LABEL_DEPLOYMENT: name, names.LABEL_TRAFFIC: names.TRAFFIC}


def labels(name: str, component: str) -> dict[str, str]:
    return {
        names.LABEL_NAME: "chatfleet",
        names.LABEL_INSTANCE: name,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        **selector(name, component),
    }


def new_child(owner: Owner, kind: Kind, name: str, component: str) -> Manifest:
    """Return a child of `owner` with its metadata and nothing else."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": owner.ref.namespace,
            "labels": labels(owner.ref.name, component),
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": owner.ref.name,
                    "uid": owner.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }


def digest(manifest: Manifest) -> str:
    """Return 16 hex digits that identify the content of `manifest`."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_hash(manifest: Manifest) -> Manifest:
    """Return `manifest` with its own hash as an annotation, which distinguishes drift from a new spec."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_LAST_APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
