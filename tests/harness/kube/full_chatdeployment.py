"""A ChatDeployment with every field of spec and status, and the same with its own Redis."""

from pathlib import Path
from typing import Any, Final

import yaml

from chatfleet_contract.crd import resource
from harness.schema_values import filled

Document = dict[str, Any]

OTHER_FIELDS: Final = frozenset(
    {".spec.redis.urlSecretRef", ".spec.redis.waitReplicas", ".spec.egress.caBundleRef.secretKeyRef"}
)
"""Fields that cannot stand beside others of the full document, such as a managed Redis."""
_OWN_REDIS: Document = {
    "redis": {"urlSecretRef": {"name": "redis", "key": "url"}, "waitReplicas": 1},
    "egress": {"caBundleRef": {"secretKeyRef": {"name": "cas", "key": "ca.pem"}}},
    "autoscaling": {"maxReplicas": 9, "metrics": [{"type": "CPU", "averageUtilization": 80}]},
}
"""Values that cannot stand beside those of the full document."""


def full_chatdeployment() -> Document:
    """Return full.yaml with the fields that it does not have, as their schema allows.

    Raises:
        UnknownValueError: full.yaml must have a field; the message names it.
    """
    text = Path(__file__).with_name("full.yaml").read_text()
    document: Document = filled(resource(), yaml.safe_load(text), absent=OTHER_FIELDS)
    return document


def with_own_redis(full: Document) -> Document:
    """Return `full` with the fields that cannot stand beside a managed Redis."""
    return {**full, "spec": {**full["spec"], **_OWN_REDIS}}


def with_bedrock(full: Document) -> Document:
    """Return `full` with its provider of type bedrock as the first, whose settings cannot stand beside Azure's."""
    providers = sorted(full["spec"]["providers"], key=lambda provider: "bedrock" not in provider)
    return {**full, "spec": {**full["spec"], "providers": providers}}
