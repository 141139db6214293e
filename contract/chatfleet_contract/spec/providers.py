"""`spec.providers` and `spec.models`: upstream APIs, their limits, and the model catalogue."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules, worded
from chatfleet_contract.spec.credentials import Credentials
from chatfleet_contract.spec.knowledge import Knowledge, embedding_rule
from chatfleet_contract.spec.model_name import ModelName
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import API, Continuation, ProviderType, continuation_rule, provider_rules
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_contract.spec.tool_servers import ATOMIC, MAX_TOOL_SERVERS_OF_A_MODEL, ToolServerName
from chatfleet_contract.spec.urls import base_url_rules

MAX_PROVIDERS = 32
MAX_MODELS = 64
MAX_FALLBACKS = 8

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra=worded(
            "the name of a provider has lower-case letters, digits and dashes between them; write it like openai-eu"
        ),
    ),
]
"""A lower-case name of letters, digits and dashes (RFC 1123 label)."""


class Azure(Part):
    """Settings of type azureOpenAI."""

    api_version: (
        Annotated[
            str,
            Field(
                pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$",
                max_length=18,
                json_schema_extra=worded(
                    "azure.apiVersion must be a date, with or without -preview; write it like 2024-10-21, or remove it"
                    " for Azure's v1 API"
                ),
            ),
        ]
        | None
    ) = Field(
        None,
        description="The `api-version` of the Azure OpenAI data plane, such as 2024-10-21. Unset: Azure's v1 API, which"
        " has no dated versions.",
    )


class Bedrock(Part):
    """Settings of type bedrock."""

    region: Annotated[
        str,
        Field(
            pattern=r"^[a-z]{2,8}(-[a-z0-9]{1,16}){1,4}-[0-9]{1,2}$",
            max_length=32,
            json_schema_extra=worded("bedrock.region must be the code of an AWS region; write it like eu-central-1"),
        ),
    ] = Field(description="AWS region, such as eu-central-1. Requests are signed for it.")
    endpoint: Literal["converse", "mantle"] = Field(
        "converse",
        description="API that is requested. converse: Converse and ConverseStream, for all models. mantle: OpenAI's"
        " chat completions, for the models that Bedrock serves so.",
    )


class Compatibility(Part):
    """What the upstream accepts. Settings for servers that reject a part of the usual request."""

    stream: bool = Field(
        default=True,
        description="Whether answers may be streamed by the upstream. false: each is requested as one response, which"
        " must arrive within timeouts.totalSeconds; clients still get a stream if they request one.",
    )
    stream_options: bool = Field(
        default=True,
        description="Whether the upstream accepts `stream_options`, which requests token counts in a stream. false: it"
        " is not sent, and counts are estimates unless the upstream sends them anyway.",
    )


_TOTAL_SECONDS = 600
"""Default of `Timeouts`."""
_WITHIN_TOTAL = ("connectSeconds", "firstTokenSeconds", "stallSeconds")


class Timeouts(Part):
    """Deadlines of one attempt, in seconds."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server fills in no defaults in lists.
                f"[{', '.join(f'has(self.{name}) ? self.{name} : 0' for name in _WITHIN_TOTAL)}].all(seconds,"
                f" seconds <= (has(self.totalSeconds) ? self.totalSeconds : {_TOTAL_SECONDS}))",
                "timeouts.totalSeconds must be at least connectSeconds, firstTokenSeconds and stallSeconds, because it"
                " ends the attempt; raise totalSeconds or lower them",
                ".totalSeconds",
            )
        )
    )

    connect_seconds: int = Field(5, ge=1, le=300, description="Timeout of the connection attempt.")
    first_token_seconds: int = Field(60, ge=1, le=3600, description="Timeout from the request to the first token.")
    stall_seconds: int = Field(
        30, ge=1, le=3600, description="Timeout between two events of a stream, after the first token."
    )
    total_seconds: int = Field(_TOTAL_SECONDS, ge=1, le=86400, description="Timeout of the whole attempt.")


_INITIAL_SECONDS, _MAX_SECONDS = 1, 4
"""Defaults of `Retries`."""


class Retries(Part):
    """Retries with exponential back-off. A request is never retried after its first token."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server fills in no defaults in lists.
                f"(has(self.initialSeconds) ? self.initialSeconds : {_INITIAL_SECONDS}) <="
                f" (has(self.maxSeconds) ? self.maxSeconds : {_MAX_SECONDS})",
                "retries.initialSeconds must not exceed retries.maxSeconds; lower initialSeconds or raise maxSeconds",
                ".initialSeconds",
            )
        )
    )

    max: int = Field(3, ge=0, le=10, description="Maximum of retries after the first attempt. 0: no retries.")
    initial_seconds: int = Field(
        _INITIAL_SECONDS,
        ge=1,
        le=300,
        description="Back-off before the first retry; it doubles with each retry. A Retry-After header takes"
        " precedence.",
    )
    max_seconds: int = Field(_MAX_SECONDS, ge=1, le=300, description="Maximum back-off between two attempts.")


class Provider(Part):
    """An upstream API with its credentials and limits."""

    model_config = ConfigDict(json_schema_extra=rules(*provider_rules(), *base_url_rules()))

    name: ObjectName = Field(description="Name that models refer to.")
    type: ProviderType = Field(
        description="Type of the upstream API. `scripted` generates answers from a script, without an upstream."
    )
    base_url: Annotated[str, Field(max_length=2048)] | None = Field(
        None,
        alias="baseURL",
        description="Base URL of the API, as the vendor's SDK takes it (https://host/v1; for Anthropic without /v1)."
        " Unset: the vendor's public API. Clients cannot change it.",
    )
    api_key_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Secret key with the API key. Pods mount it as a file, reload it when it changes, and send it to"
        " baseURL: whoever may write ChatDeployments can read every Secret of the namespace.",
    )
    credentials: Credentials | None = Field(
        None, description="Credentials in the place of an API key, so that no Secret has one."
    )
    api: API = Field(
        "chat",
        description="The upstream's API that answers are requested from: chat completions, or OpenAI's Responses API,"
        " which clients of /v1/responses get without loss.",
    )
    azure: Azure | None = Field(None, description="Settings of type azureOpenAI.")
    bedrock: Bedrock | None = Field(None, description="Settings of type bedrock.")
    compatibility: Compatibility = Field(
        Compatibility(), description="What the upstream accepts, for servers that reject a part of the usual request."
    )
    timeouts: Timeouts = Field(Timeouts(), description="Deadlines of one attempt.")
    retries: Retries = Field(Retries(), description="Retries before the first token.")
    max_concurrent_requests: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Maximum of concurrent requests per pod to this provider. Further requests wait for a free slot.",
    )


class Parameters(Part):
    """Generation parameters for requests that do not set them."""

    temperature: float | None = Field(None, ge=0, le=2, description="Sampling temperature.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling mass.")
    max_tokens: int | None = Field(None, ge=1, le=10_000_000, description="Maximum of output tokens.")


class Model(Part):
    """An entry of the catalogue: the name that clients use, and the upstream model behind it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.fallbacks) || self.fallbacks.all(f, self.fallbacks.exists_one(g, g == f))",
                "fallbacks must not name a model twice, because it would fail twice; remove one of the two",
                ".fallbacks",
            ),
            rule(
                "!has(self.tools) || self.tools.all(t, self.tools.exists_one(u, u == t))",
                "tools must not name a tool server twice; remove one of the two",
                ".tools",
            ),
        )
    )

    name: ModelName = Field(description="Name that clients send as `model`.")
    provider: ObjectName = Field(description="Name of a provider in spec.providers.")
    model: ModelName = Field(description="Name of the model at the provider (on Azure: name of the deployment).")
    fallbacks: Annotated[
        list[ModelName], Field(max_length=MAX_FALLBACKS, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(
        default_factory=list,
        description="Models of this catalogue to try, in order, when this one fails before its first token. Each must"
        " be listed after this one.",
    )
    parameters: Parameters = Field(Parameters(), description="Defaults for requests that do not set these parameters.")
    knowledge: Knowledge | None = Field(
        None, description="Documents that the model answers from. Fallbacks answer from those of this model, too."
    )
    pricing: Pricing | None = Field(
        None, description="Prices of tokens. Unset: those of the price list in the pods, if it has the model."
    )
    continuation: Continuation = Field(
        "none",
        description="How another pod continues an answer whose pod died. prefill: it sends the text so far as the last"
        " assistant message. continueFinalMessage: the same, with continue_final_message of vLLM and SGLang. none: the"
        " answer ends as interrupted.",
    )
    tools: Annotated[list[ToolServerName], Field(max_length=MAX_TOOL_SERVERS_OF_A_MODEL, json_schema_extra=ATOMIC)] = (
        Field(
            default_factory=list,
            description="Names of the tool servers in spec.toolServers whose tools the pods call for this model.",
        )
    )
    max_steps: int = Field(
        8,
        ge=1,
        le=32,
        description="Maximum of requests to the model for one answer, where it calls tools of tool servers. In the last"
        " one it may call none.",
    )


Providers = Annotated[list[Provider], Field(min_length=1, max_length=MAX_PROVIDERS, json_schema_extra=keyed("name"))]
Catalogue = Annotated[list[Model], Field(min_length=1, max_length=MAX_MODELS, json_schema_extra=keyed("name"))]


CATALOGUE_RULES = (
    rule(
        "self.models.all(m, self.providers.exists(p, p.name == m.provider))",
        "models[].provider must be the name of a provider in spec.providers; add the provider or correct the name",
        ".models",
    ),
    rule(
        "self.models.all(m, !has(m.fallbacks) || m.fallbacks.all(f, self.models.exists(n, n.name == f)))",
        "models[].fallbacks must be names of models in spec.models; add the model or correct the name",
        ".models",
    ),
    rule(
        "self.models.all(i, m, !has(m.fallbacks) || m.fallbacks.all(f, self.models.all(j, n, n.name != f || j > i)))",
        "models[].fallbacks must be listed after the model itself, so that they form no cycle; reorder spec.models or"
        " remove the fallback",
        ".models",
    ),
    embedding_rule("self.models", "models"),
    continuation_rule(),
    rule(
        "self.models.all(m, !has(m.continuation) || m.continuation == 'none' || self.providers.all(p, p.name !="
        " m.provider || !has(p.api) || p.api == 'chat'))",
        "models[].continuation must be none for a provider with api responses, which continues no answer; set none or"
        " use api chat",
        ".models",
    ),
)
"""Rules across providers and models, for the object that holds both."""
