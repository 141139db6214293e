"""What a ChatDeployment says about its upstreams: providers, their limits, and the catalogue of models."""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules

MAX_PROVIDERS = 32
MAX_MODELS = 64
MAX_FALLBACKS = 8

ObjectName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A lower-case name of letters, digits and dashes (RFC 1123 label)."""

ModelName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")]
"""A model's name as clients and vendors write it."""


class SecretKeyRef(Part):
    """A key of a Secret in the ChatDeployment's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Name of the Secret, in the namespace of the ChatDeployment."
    )
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Key within the Secret.")


class ProviderType(StrEnum):
    """The API that a provider speaks."""

    OPENAI = "openai"
    AZURE_OPENAI = "azureOpenAI"
    ANTHROPIC = "anthropic"
    OPENAI_COMPATIBLE = "openAICompatible"
    SCRIPTED = "scripted"


class Azure(Part):
    """What only Azure OpenAI asks for."""

    api_version: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$", max_length=18)] = Field(
        description="The `api-version` of the Azure OpenAI data plane, such as 2024-10-21."
    )


class Timeouts(Part):
    """How long a provider may take, in seconds, at each moment of one answer."""

    connect_seconds: int = Field(5, ge=1, le=300, description="Seconds to open the connection.")
    first_token_seconds: int = Field(60, ge=1, le=3600, description="Seconds from the request to the first token.")
    stall_seconds: int = Field(
        30, ge=1, le=3600, description="Seconds of silence that end a stream once tokens have come."
    )
    total_seconds: int = Field(600, ge=1, le=86400, description="Seconds that one attempt may take in all.")


class Retries(Part):
    """How often, and after which pauses, a request is tried again before its first token.

    A token that was seen is never repeated.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # Guarded, because the API server also tries the rule on the bare default `{}`.
                "!has(self.initialSeconds) || !has(self.maxSeconds) || self.initialSeconds <= self.maxSeconds",
                "retries.initialSeconds must not exceed retries.maxSeconds; lower initialSeconds or raise maxSeconds",
                ".initialSeconds",
            )
        )
    )

    max: int = Field(3, ge=0, le=10, description="Retries after the first attempt; 0 switches retrying off.")
    initial_seconds: int = Field(
        1,
        ge=1,
        le=300,
        description="Pause before the first retry; it doubles each time. A Retry-After of the provider wins.",
    )
    max_seconds: int = Field(4, ge=1, le=300, description="Longest pause between two attempts.")


_IN_CLUSTER = r"^http://([a-z0-9]([-a-z0-9]*[a-z0-9])?|[a-z0-9.-]+\\.svc(\\.cluster\\.local)?)(:[0-9]+)?(/|$)"
_NEEDS_KEY = "['openai', 'azureOpenAI', 'anthropic']"


class Provider(Part):
    """One upstream API with its credentials and limits."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"!(self.type in {_NEEDS_KEY}) || has(self.apiKeySecretRef)",
                "apiKeySecretRef is required for this type; name the Secret and key that hold the provider's API key",
                ".apiKeySecretRef",
            ),
            rule(
                "!(self.type in ['azureOpenAI', 'openAICompatible']) || has(self.baseURL)",
                "baseURL is required for this type; give the endpoint of your resource or server",
                ".baseURL",
            ),
            rule(
                "(self.type == 'azureOpenAI') == has(self.azure)",
                "azure is required for type azureOpenAI and only allowed there; set azure.apiVersion or remove azure",
                ".azure",
            ),
            rule(
                "self.type != 'scripted' || (!has(self.baseURL) && !has(self.apiKeySecretRef))",
                "the scripted provider calls nobody; remove baseURL and apiKeySecretRef",
            ),
            rule(
                "!has(self.baseURL) || (self.baseURL.matches('^https?://') && isURL(self.baseURL)"
                " && url(self.baseURL).getHostname() != ''"
                " && !self.baseURL.contains('@') && !self.baseURL.contains('?') && !self.baseURL.contains('#'))",
                "baseURL must be an absolute http or https URL without user, query or fragment; write it like https://api.example.com/v1",
                ".baseURL",
            ),
            rule(
                f"!has(self.baseURL) || !self.baseURL.startsWith('http://') || self.baseURL.matches('{_IN_CLUSTER}')",
                "baseURL must be https unless the host is a Service of this cluster; use https, or a name such as http://llm.team.svc:8000/v1",
                ".baseURL",
            ),
        )
    )

    name: ObjectName = Field(description="Name that models refer to.")
    type: ProviderType = Field(
        description="The API that the provider speaks. `scripted` answers by itself, from a script, with no upstream."
    )
    base_url: Annotated[str, Field(max_length=2048)] | None = Field(
        None,
        alias="baseURL",
        description="Root of the provider's API, as its official SDK takes it (https://host/v1; for Anthropic without"
        " /v1). Unset: the vendor's own. Requests can never change it.",
    )
    api_key_secret_ref: SecretKeyRef | None = Field(
        None, description="Where the API key is. It reaches the pods as a file and is read again when it changes."
    )
    azure: Azure | None = Field(None, description="Settings of type azureOpenAI.")
    timeouts: Timeouts = Field(Timeouts(), description="Deadlines of one attempt.")
    retries: Retries = Field(Retries(), description="Retries before the first token.")
    max_concurrent_requests: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Requests to this provider that one pod keeps open at a time; more wait their turn.",
    )


class Parameters(Part):
    """Generation parameters used where a request names none."""

    temperature: float | None = Field(None, ge=0, le=2, description="Sampling temperature.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling mass.")
    max_tokens: int | None = Field(None, ge=1, le=10_000_000, description="Most tokens of one answer.")


Continuation: TypeAlias = Literal["none", "prefill", "continueFinalMessage"]
"""How a model goes on with an answer that was cut: not at all; when the answer's beginning is the last message, by
itself; or when it is asked to by `continue_final_message`, as vLLM and SGLang name it.
"""


class Model(Part):
    """One entry of the catalogue: the name a client asks for, and who answers."""

    name: ModelName = Field(description="Name that clients put into `model`.")
    provider: ObjectName = Field(description="Name of the provider that answers; one of spec.providers.")
    model: ModelName = Field(description="The provider's own name of the model (its deployment's name on Azure).")
    fallbacks: Annotated[
        list[ModelName], Field(max_length=MAX_FALLBACKS, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(
        default_factory=list,
        description="Models of this catalogue tried in order when this one fails before its first token."
        " Each must be listed after this one.",
    )
    parameters: Parameters = Field(Parameters(), description="Defaults for requests that do not say.")
    continuation: Continuation = Field(
        "none",
        description="How the model goes on with an answer whose pod died after tokens were seen. prefill: the text so"
        " far is sent as the assistant's last message (Anthropic's models that still take one, llama.cpp)."
        " continueFinalMessage: the same, with vLLM's continue_final_message. none: the answer ends as interrupted.",
    )


Providers = Annotated[list[Provider], Field(min_length=1, max_length=MAX_PROVIDERS, json_schema_extra=keyed("name"))]
Catalogue = Annotated[list[Model], Field(min_length=1, max_length=MAX_MODELS, json_schema_extra=keyed("name"))]

CATALOGUE_RULES = (
    rule(
        "self.models.all(m, self.providers.exists(p, p.name == m.provider))",
        "models[].provider must name one of spec.providers; add the provider or correct the name",
        ".models",
    ),
    rule(
        "self.models.all(m, !has(m.fallbacks) || m.fallbacks.all(f, self.models.exists(n, n.name == f)))",
        "models[].fallbacks must name models of spec.models; add the model or correct the name",
        ".models",
    ),
    rule(
        "self.models.all(i, m, !has(m.fallbacks) || m.fallbacks.all(f, self.models.all(j, n, n.name != f || j > i)))",
        "models[].fallbacks must name models listed after their own, so that they form no cycle;"
        " reorder spec.models or remove the fallback",
        ".models",
    ),
    rule(
        "self.models.all(m, !has(m.continuation) || m.continuation == 'none' || self.providers.all(p,"
        " p.name != m.provider || p.type == 'openAICompatible'"
        " || (m.continuation == 'prefill' && p.type in ['anthropic', 'scripted'])))",
        "models[].continuation needs a provider that can go on: prefill one of type anthropic, openAICompatible or"
        " scripted, continueFinalMessage one of type openAICompatible; set none or choose another provider",
        ".models",
    ),
)
"""Rules across providers and models, for the object that holds both."""
