"""References to Secrets, which are in the namespace of the ChatDeployment."""

from typing import Annotated

from pydantic import Field

from chatfleet_contract.parts import Part

Subdomain = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
"""The name of most objects of Kubernetes, such as a Secret or a StorageClass (RFC 1123 subdomain)."""

SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$")]
"""A key of a Secret, which is also the name of a file: never `.` nor `..`."""


class SecretKeyRef(Part):
    """A key of a Secret in the ChatDeployment's own namespace."""

    name: Subdomain = Field(
        description="Name of the Secret, in the namespace of the ChatDeployment. An operator with secretsNeedLabel uses"
        " it only with the label chatfleet.io/allowed."
    )
    key: SecretKey = Field(description="Key within the Secret.")
