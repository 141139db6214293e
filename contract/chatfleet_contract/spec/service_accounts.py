"""`spec.access.serviceAccounts`: callers inside the cluster, by the token of their ServiceAccount."""

from typing import Annotated, Final

from pydantic import Field

from chatfleet_contract.parts import Part, keyed, worded

ANY: Final = "*"
MAX_ALLOWED: Final = 64

_NAMESPACE = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$",
        json_schema_extra=worded(
            "the namespace of a ServiceAccount is one name, or * alone for all; write it like shop"
        ),
    ),
]
_NAME = Annotated[
    str,
    Field(
        max_length=253,
        pattern=r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$",
        json_schema_extra=worded("the name of a ServiceAccount is one name, or * alone for all; write it like web"),
    ),
]


class AllowedServiceAccount(Part):
    """ServiceAccounts whose tokens are accepted."""

    namespace: _NAMESPACE = Field(description="Namespace of the ServiceAccount; * alone for all.")
    name: _NAME = Field(description="Name of the ServiceAccount; * alone for all of the namespace.")


class ServiceAccounts(Part):
    """Projected tokens of ServiceAccounts of this cluster."""

    audience: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Audience that a token must have, such as chatfleet.io/support."
    )
    allow: Annotated[
        list[AllowedServiceAccount],
        Field(min_length=1, max_length=MAX_ALLOWED, json_schema_extra=keyed("namespace", "name")),
    ] = Field(description="ServiceAccounts that may call. The tenant of a caller is its namespace.")
    strict: bool = Field(
        default=False,
        description="Have the API server review each token, so that that of a deleted pod is refused within 10 s. The"
        " ServiceAccount of the pods then needs the right to create tokenreviews.",
    )
