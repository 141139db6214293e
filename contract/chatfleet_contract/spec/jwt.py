"""`spec.access.jwt`: issuers whose signed tokens (JWT, RFC 7519) are accepted."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, rule, rules, worded
from chatfleet_contract.spec.urls import fetched_url_rules

_SERVER: Final = "https://login.example.com"
_INSIDE: Final = "http://login.auth.svc:8080/realms/chat"

URLText = Annotated[str, Field(max_length=512)]
ClaimName = Annotated[str, Field(min_length=1, max_length=256)]

TenantName = Annotated[
    str,
    Field(
        max_length=128,
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9._@]*[A-Za-z0-9])?$",
        json_schema_extra=worded("a tenant has letters, digits, dashes, dots, underscores and @; write it like shop"),
    ),
]


class Algorithm(StrEnum):
    """Signatures with a private key. Those with a shared secret are not here: whoever verifies them can make them."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    ED25519 = "Ed25519"


Algorithms = Annotated[list[Algorithm], Field(min_length=1, json_schema_extra={"x-kubernetes-list-type": "set"})]


class JWTIssuer(Part):
    """Tokens of one issuer for one audience."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.tenant) != has(self.tenantClaim)",
                "access.jwt[] must have exactly one of tenant and tenantClaim, because callers of one tenant see the"
                " same conversations; set one and remove the other",
            ),
            *fetched_url_rules("issuer", example=f"{_SERVER}/realms/chat", inside=_INSIDE, query=False),
            *fetched_url_rules("jwksURL", example=f"{_SERVER}/keys", inside=_INSIDE),
        )
    )

    issuer: URLText = Field(description="URL of the issuer, exactly as the claim iss of its tokens has it.")
    audience: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="What the claim aud of a token must have: the name of this service at the issuer."
    )
    jwks_url: URLText | None = Field(
        None,
        alias="jwksURL",
        description="URL of the issuer's public keys (JWKS). Unset: from its OpenID discovery document.",
    )
    algorithms: Algorithms = Field(
        default=[Algorithm.RS256, Algorithm.ES256],
        description="Signature algorithms that are accepted.",
    )
    tenant: TenantName | None = Field(None, description="The one tenant of all callers of this issuer.")
    tenant_claim: ClaimName | None = Field(
        None,
        description="Claim with the caller's tenant, which callers must not be able to choose; without it, a token is"
        " refused.",
    )
    user_claim: ClaimName = Field(
        "sub",
        description="Claim with the caller's user. A token without it is refused. * for tokens of services, whose"
        " requests may name any user.",
    )
    required_scopes: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(
        default_factory=list,
        description="Scopes that a token must all have, in its claim scope or scp.",
    )
    clock_skew_seconds: int = Field(
        30, ge=0, le=300, description="Difference between clocks that is tolerated for exp, nbf and iat."
    )
