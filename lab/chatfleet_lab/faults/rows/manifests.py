"""Objects that stand in the way of a ChatDeployment."""

from typing import Any

from chatfleet_operator.model.values import Manifest


def manifest(api: str, kind: str, name: str, **content: Any) -> Manifest:  # noqa: ANN401  # JSON
    """Return an object."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **content}


def quota(**hard: str) -> Manifest:
    """Return a ResourceQuota named small; of a resource, `_` stands for `.` and `__` for `/`."""
    limits = {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}
    return manifest("v1", "ResourceQuota", "small", spec={"hard": limits})


def limit_range(**bounds: str) -> Manifest:
    """Return a LimitRange named bounds, with bounds of the memory of a container."""
    limits = {bound: {"memory": value} for bound, value in bounds.items()}
    return manifest("v1", "LimitRange", "bounds", spec={"limits": [{"type": "Container", **limits}]})


def secret(name: str, **data: str) -> Manifest:
    """Return a Secret."""
    return manifest("v1", "Secret", name, stringData=data)


def storage_class(name: str) -> Manifest:
    """Return a StorageClass that waits for a pod."""
    return manifest(
        *("storage.k8s.io/v1", "StorageClass", name),
        provisioner="kubernetes.io/no-provisioner",
        volumeBindingMode="WaitForFirstConsumer",
    )


def of_namespace(namespace: str) -> Manifest:
    """Return a selector of one namespace."""
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def rule(group: str, resource: str) -> Manifest:
    """Return the writes of one resource, as admission names them."""
    writes = ["CREATE", "UPDATE"]
    return {"apiGroups": [group], "apiVersions": ["v1"], "operations": writes, "resources": [resource]}


def policy(namespace: str, group: str, resource: str) -> tuple[Manifest, Manifest]:
    """Return a policy of the cluster that denies one resource in a namespace, and what puts it into force."""
    api = "admissionregistration.k8s.io/v1"
    matched = {"resourceRules": [rule(group, resource)], "namespaceSelector": of_namespace(namespace)}
    deny = {"expression": "false", "message": f"no {resource} here"}
    spec = {"matchConstraints": matched, "validations": [deny]}
    binding = {"policyName": namespace, "validationActions": ["Deny"]}
    return (
        manifest(api, "ValidatingAdmissionPolicy", namespace, spec=spec),
        manifest(api, "ValidatingAdmissionPolicyBinding", namespace, spec=binding),
    )


def webhook(namespace: str, group: str, resource: str) -> Manifest:
    """Return a webhook that must allow one resource in a namespace, and that nothing serves."""
    return manifest(
        *("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", namespace),
        webhooks=[
            {
                "name": "guard.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [rule(group, resource)],
                "namespaceSelector": of_namespace(namespace),
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 2,
            }
        ],
    )
