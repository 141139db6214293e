"""`providers[].credentials`: how pods authenticate to an upstream without a key in the cluster.

The kubelet mounts a token of the pods' ServiceAccount for one audience; pods exchange it for a short-lived credential.
Fields have the names that the vendors' own tools give them.
"""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, rule, rules, worded
from chatfleet_contract.spec.urls import token_url_rules

EXCHANGES: Final = {
    "openAI": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "aws": "sts.amazonaws.com",
    "azure": "api://AzureADTokenExchange",
    "tokenExchange": None,
}
"""The exchanges, each with the audience that its vendor's documentation recommends; None: there is none."""

_OF_THE_API_SERVER: Final = r"^https://kubernetes\\.default(\\.svc(\\.[a-z0-9.-]+)?)?/?$"

Id = Annotated[str, Field(min_length=1, max_length=256)]
"""What a vendor calls one of its objects, sent as it is."""
URL = Annotated[str, Field(max_length=512)]


class OpenAIExchange(Part):
    """OpenAI's workload identity federation."""

    model_config = ConfigDict(json_schema_extra=rules(*token_url_rules("tokenURL")))

    identity_provider_id: Id = Field(alias="identityProviderID", description="Id of the workload identity provider.")
    service_account_id: Id = Field(alias="serviceAccountID", description="Id of OpenAI's service account.")
    token_url: URL | None = Field(
        None,
        alias="tokenURL",
        description="Endpoint of the exchange. Unset: OpenAI's, https://auth.openai.com/oauth/token.",
    )


class AnthropicExchange(Part):
    """Anthropic's workload identity federation, at the baseURL of the provider."""

    federation_rule_id: Id = Field(alias="federationRuleID", description="Id of the federation rule (fdrl_…).")
    organization_id: Id = Field(alias="organizationID", description="UUID of the organization.")
    service_account_id: Id | None = Field(
        None, alias="serviceAccountID", description="Id of Anthropic's service account (svac_…)."
    )
    workspace_id: Id | None = Field(
        None,
        alias="workspaceID",
        description="Id of the workspace (wrkspc_…), or default. Required if the rule covers several workspaces.",
    )


class AWSExchange(Part):
    """AWS STS: AssumeRoleWithWebIdentity."""

    role_arn: Annotated[
        str,
        Field(
            max_length=2048,
            pattern=r"^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[!-~]+$",
            json_schema_extra=worded(
                "aws.roleARN must be the ARN of an IAM role; write it like arn:aws:iam::111122223333:role/chat"
            ),
        ),
    ] = Field(alias="roleARN", description="ARN of the IAM role that pods take.")


class AzureExchange(Part):
    """Microsoft Entra ID: a federated credential of an application or a managed identity."""

    model_config = ConfigDict(json_schema_extra=rules(*token_url_rules("authorityURL")))

    tenant_id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?$",
            json_schema_extra=worded(
                "azure.tenantID must be the id or the domain of the tenant; write it like"
                " 00000000-0000-0000-0000-000000000000 or example.onmicrosoft.com"
            ),
        ),
    ] = Field(alias="tenantID", description="Id of the tenant.")
    client_id: Id = Field(alias="clientID", description="Client id of the application or managed identity.")
    authority_url: URL | None = Field(
        None,
        alias="authorityURL",
        description="Authority of the cloud. Unset: https://login.microsoftonline.com.",
    )
    scope: Id | None = Field(
        None, description="Scope of the token. Unset: https://cognitiveservices.azure.com/.default."
    )


class TokenExchange(Part):
    """Any OAuth 2.0 token exchange (RFC 8693) without a client secret."""

    model_config = ConfigDict(json_schema_extra=rules(*token_url_rules("url")))

    url: URL = Field(description="Token endpoint.")
    audience: Id | None = Field(None, description="Logical name of the service that the access token is for.")
    resource: Id | None = Field(None, description="URI of the service that the access token is for.")
    scope: Id | None = Field(None, description="Scopes, separated by spaces.")
    client_id: Id | None = Field(
        None, alias="clientID", description="Id of a public client, if the endpoint needs one."
    )


class WorkloadIdentity(Part):
    """A token of the pods' ServiceAccount, and where it is exchanged for a short-lived credential."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"[{', '.join(f'has(self.{name})' for name in EXCHANGES)}].exists_one(each, each)",
                f"workloadIdentity must have exactly one of {', '.join(EXCHANGES)}; set one and remove the others",
            ),
            rule(
                "!has(self.tokenExchange) || has(self.audience)",
                "workloadIdentity.audience is required with tokenExchange, because each endpoint accepts another one;"
                " set the audience that the endpoint expects in the token of the ServiceAccount",
                ".audience",
            ),
            rule(
                f"!has(self.audience) || !self.audience.matches('{_OF_THE_API_SERVER}')",
                "workloadIdentity.audience must not be that of the API server, because whoever gets the token could use"
                " it there; set the audience that the exchange expects",
                ".audience",
            ),
        )
    )

    audience: Id | None = Field(
        None,
        description="Audience of the ServiceAccount's token. Unset: the one that the vendor recommends:"
        f" {', '.join(each for each in EXCHANGES.values() if each)}.",
    )
    lifetime_seconds: int = Field(
        3600,
        ge=600,
        le=86400,
        description="Lifetime of the ServiceAccount's token, which the kubelet replaces when 80 % of it have passed.",
    )
    open_ai: OpenAIExchange | None = Field(None, alias="openAI", description="For type openai.")
    anthropic: AnthropicExchange | None = Field(None, description="For type anthropic.")
    aws: AWSExchange | None = Field(None, description="For type bedrock.")
    azure: AzureExchange | None = Field(None, description="For type azureOpenAI.")
    token_exchange: TokenExchange | None = Field(
        None, description="For every type: the access token is sent as bearer token."
    )

    @property
    def token_audience(self) -> str:
        """Return the audience of the ServiceAccount's token."""
        present = self.document()
        defaults = (audience for name, audience in EXCHANGES.items() if name in present and audience)
        return self.audience or next(defaults, "")


class Credentials(Part):
    """Credentials that are no API key."""

    workload_identity: WorkloadIdentity = Field(
        description="Exchange of a token of the pods' ServiceAccount, whose subject is"
        " system:serviceaccount:NAMESPACE:NAME of the ChatDeployment. Whoever may create a ChatDeployment of that name"
        " can use it."
    )
