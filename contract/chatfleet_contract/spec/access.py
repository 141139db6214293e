"""`spec.access`: whose requests the pods answer. Without it, they answer none."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules
from chatfleet_contract.spec.administrators import MAX_ADMINISTRATORS, Administrator
from chatfleet_contract.spec.jwt import JWTIssuer
from chatfleet_contract.spec.secrets import Subdomain
from chatfleet_contract.spec.service_accounts import ServiceAccounts

MAX_KEY_SECRETS: Final = 16
MAX_ISSUERS: Final = 8


class OnRevoke(StrEnum):
    """What becomes of the open streams of a credential that is revoked."""

    FINISH = "finish"
    CUT = "cut"


class KeysSecretRef(Part):
    """A Secret in the ChatDeployment's own namespace, all of whose keys are API keys."""

    name: Subdomain = Field(
        description="Name of the Secret, in the namespace of the ChatDeployment. An operator with secretsNeedLabel uses"
        " it only with the label chatfleet.io/allowed."
    )


class APIKeys(Part):
    """API keys that clients send."""

    secret_ref: KeysSecretRef = Field(
        description="Secret with API keys: each value is a key, its SHA-256 (sha256:<hex>), or JSON with either. Its"
        " callers are the tenant of the Secret's name, unless JSON names another. Pods follow changes within seconds."
    )


class Access(Part):
    """Whose requests the pods answer."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.anonymous || ((!has(self.apiKeys) || self.apiKeys.size() == 0) &&"
                " (!has(self.jwt) || self.jwt.size() == 0) && !has(self.serviceAccounts))",
                "access.anonymous must be false with apiKeys, jwt and serviceAccounts, because callers without a"
                " credential would be accepted; remove anonymous, or the others",
                ".anonymous",
            ),
            rule(
                "!has(self.admin) || self.admin.all(a, a.kind == 'serviceAccount' ? has(self.serviceAccounts)"
                " : a.kind == 'apiKey' ? has(self.apiKeys) && self.apiKeys.exists(k, k.secretRef.name == a.source)"
                " : has(self.jwt) && self.jwt.exists(j, j.issuer == a.source))",
                "access.admin[] must name callers that access accepts: a Secret of apiKeys, a ServiceAccount with"
                " serviceAccounts, an issuer of jwt; add it there, or remove it from admin",
                ".admin",
            ),
        )
    )

    anonymous: bool = Field(
        default=False,
        description="Answer every caller, without a credential. All callers are then one tenant, named default.",
    )
    api_keys: Annotated[list[APIKeys], Field(max_length=MAX_KEY_SECRETS)] = Field(
        default_factory=list, description="Secrets with the API keys of clients. A new Secret here restarts the pods."
    )
    jwt: Annotated[list[JWTIssuer], Field(max_length=MAX_ISSUERS, json_schema_extra=keyed("issuer", "audience"))] = (
        Field(default_factory=list, description="Issuers whose signed tokens (JWT) clients send.")
    )
    service_accounts: ServiceAccounts | None = Field(
        None, description="Callers inside the cluster, which authenticate by the token of their ServiceAccount."
    )
    on_revoke: OnRevoke = Field(
        OnRevoke.FINISH,
        description="Open streams of a credential that is revoked or expires: finish, or cut, which ends them with an"
        " error.",
    )

    admin: Annotated[list[Administrator], Field(max_length=MAX_ADMINISTRATORS)] = Field(
        default_factory=list,
        description="Callers who may use the admin port (8002) of the pods, which no Service has. Without any, no pod"
        " listens there. Administrators see runs, sessions and usage of all tenants, but no messages.",
    )

    @property
    def names_callers(self) -> bool:
        """Whether someone with a credential is answered."""
        return bool(self.api_keys or self.jwt or self.service_accounts)

    @property
    def reviews_tokens(self) -> bool:
        """Whether pods ask the API server about tokens."""
        return self.service_accounts is not None and self.service_accounts.strict

    @property
    def key_secrets(self) -> tuple[str, ...]:
        """Names of the Secrets with API keys, each once."""
        return tuple(dict.fromkeys(keys.secret_ref.name for keys in self.api_keys))
