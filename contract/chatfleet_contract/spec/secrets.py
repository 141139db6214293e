"""References to Secrets and ConfigMaps, which are in the namespace of the ChatDeployment."""

from typing import Annotated

from pydantic import Field

from chatfleet_contract.parts import Part, worded

Subdomain = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        json_schema_extra=worded(
            "the name of an object has lower-case letters, digits, dashes and dots, and no namespace or path; write it"
            " like llm-keys"
        ),
    ),
]
"""The name of most objects of Kubernetes, such as a Secret or a StorageClass (RFC 1123 subdomain)."""

SecretKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$",
        json_schema_extra=worded(
            "the key of a Secret or ConfigMap has letters, digits, dashes, dots and underscores; write the"
            " name of the key, not its value or a path"
        ),
    ),
]
"""A key of a Secret or ConfigMap, which is also the name of a file: never `.` nor `..`."""


class SecretKeyRef(Part):
    """A key of a Secret in the ChatDeployment's own namespace."""

    name: Subdomain = Field(
        description="Name of the Secret, in the namespace of the ChatDeployment. An operator with secretsNeedLabel uses"
        " it only with the label chatfleet.io/allowed."
    )
    key: SecretKey = Field(description="Key within the Secret.")


class ConfigMapKeyRef(Part):
    """A key of a ConfigMap in the ChatDeployment's own namespace."""

    name: Subdomain = Field(description="Name of the ConfigMap, in the namespace of the ChatDeployment.")
    key: SecretKey = Field(description="Key within the ConfigMap.")
