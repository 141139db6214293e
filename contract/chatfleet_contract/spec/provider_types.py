"""The types of providers: one table of what each needs and supports, and the rules of the CRD that follow from it."""

from collections.abc import Callable
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from chatfleet_contract.parts import Json, rule

Continuation: TypeAlias = Literal["none", "prefill", "continueFinalMessage"]
"""How a model continues an answer that was cut off."""


API: TypeAlias = Literal["chat", "responses"]
"""The upstream's API that answers are requested from: OpenAI's chat completions, or its Responses API."""


class ProviderType(StrEnum):
    """The type of an upstream API. Each has a row in `PROVIDER_TYPES`."""

    OPENAI = "openai"
    AZURE_OPENAI = "azureOpenAI"
    ANTHROPIC = "anthropic"
    BEDROCK = "bedrock"
    OPENAI_COMPATIBLE = "openAICompatible"
    SCRIPTED = "scripted"


class ProviderTraits(NamedTuple):
    """What a type needs and supports. The validation rules of the CRD are derived from it."""

    needs_key: bool = False
    needs_base_url: bool = False
    has_upstream: bool = True
    """False: it generates its answers, and takes neither a key nor a URL."""
    stream_options: bool = False
    """Whether requests have `stream_options`, which `compatibility` can leave out."""
    responses: bool = False
    """Whether `api` may be `responses`."""
    exchange: str | None = None
    """The exchange of `credentials.workloadIdentity` that is the vendor's own; a general token exchange is for all."""
    settings: str | None = None
    """Its own part of `Provider`, allowed for this type alone."""
    required_setting: str | None = None
    """A field of that part without which the type cannot be used; None: the part may be missing."""
    continuations: frozenset[Continuation] = frozenset()


_PREFILL: Final = frozenset[Continuation]({"prefill"})

PROVIDER_TYPES: Final = MappingProxyType(
    {
        ProviderType.OPENAI: ProviderTraits(needs_key=True, stream_options=True, responses=True, exchange="openAI"),
        ProviderType.AZURE_OPENAI: ProviderTraits(
            needs_key=True,
            needs_base_url=True,
            stream_options=True,
            responses=True,
            settings="azure",
            exchange="azure",
        ),
        ProviderType.ANTHROPIC: ProviderTraits(needs_key=True, continuations=_PREFILL, exchange="anthropic"),
        ProviderType.BEDROCK: ProviderTraits(
            settings="bedrock", required_setting="region", continuations=_PREFILL, exchange="aws"
        ),
        ProviderType.OPENAI_COMPATIBLE: ProviderTraits(
            needs_base_url=True, stream_options=True, responses=True, continuations=_PREFILL | {"continueFinalMessage"}
        ),
        ProviderType.SCRIPTED: ProviderTraits(has_upstream=False, continuations=_PREFILL),
    }
)


def _types(having: Callable[[ProviderTraits], object]) -> list[str]:
    return [kind.value for kind, traits in PROVIDER_TYPES.items() if having(traits)]


def _is_one_of(field: str, values: list[str]) -> str:
    """Return the CEL expression of `field` being one of `values`."""
    return f"{field} == '{values[0]}'" if len(values) == 1 else f"{field} in {values}"


def _own_settings(kind: str, part: str, required: str | None) -> Json:
    if required:
        return rule(
            f"(self.type == '{kind}') == has(self.{part})",
            f"{part} is required for type {kind} and only allowed there; set {part}.{required} or remove {part}",
            f".{part}",
        )
    return rule(
        f"self.type == '{kind}' || !has(self.{part})",
        f"{part} is only allowed for type {kind}; remove {part}",
        f".{part}",
    )


def _without_upstream(kind: str) -> Json:
    return rule(
        f"self.type != '{kind}' || (!has(self.baseURL) && !has(self.apiKeySecretRef) && !has(self.credentials))",
        f"baseURL, apiKeySecretRef and credentials are not allowed for type {kind}, which calls no upstream; remove"
        " them",
    )


def _own_exchange() -> Json:
    """Return the rule that an exchange of a vendor is used for this vendor's type alone."""
    owners = {traits.exchange: kind.value for kind, traits in PROVIDER_TYPES.items() if traits.exchange}
    expressions = (
        f"(self.type == '{kind}' || !has(self.credentials.workloadIdentity.{exchange}))"
        for exchange, kind in owners.items()
    )
    listed = ", ".join(f"{exchange} for {kind}" for exchange, kind in owners.items())
    return rule(
        f"!has(self.credentials) || ({' && '.join(expressions)})",
        f"the exchange of workloadIdentity must be that of the type: {listed}, or tokenExchange; use that one",
        ".credentials",
    )


def _can_leave_out(field: str, types: list[str]) -> Json:
    """Return the rule that `compatibility` sets `field` to false only for `types`."""
    return rule(
        f"{_is_one_of('self.type', types)} || !has(self.compatibility) || !has(self.compatibility.{field}) ||"
        f" self.compatibility.{field}",
        f"compatibility.{field} can be false only for the types {', '.join(types)}; remove it",
        f".compatibility.{field}",
    )


def _has_responses(types: list[str]) -> Json:
    """Return the rule that `api` is `responses` only for `types`."""
    return rule(
        f"{_is_one_of('self.type', types)} || !has(self.api) || self.api == 'chat'",
        f"api can be responses only for the types {', '.join(types)}; remove it",
        ".api",
    )


def continuation_rule() -> Json:
    """Return the rule that a model's continuation is one that the type of its provider supports."""
    modes = [mode for mode in get_args(Continuation) if mode != "none"]
    types = {
        mode: [kind.value for kind in PROVIDER_TYPES if mode in PROVIDER_TYPES[kind].continuations] for mode in modes
    }
    every = _types(lambda traits: traits.continuations.issuperset(modes))
    some = {mode: [kind for kind in types[mode] if kind not in every] for mode in modes}
    supported = " || ".join(
        [
            _is_one_of("p.type", every),
            *(f"(m.continuation == '{mode}' && {_is_one_of('p.type', some[mode])})" for mode in modes if some[mode]),
        ]
    )
    listed = ", ".join(f"{' or '.join(', '.join(types[mode]).rsplit(', ', 1))} for {mode}" for mode in modes)
    return rule(
        "self.models.all(m, !has(m.continuation) || m.continuation == 'none' || self.providers.all(p, p.name !="
        f" m.provider || {supported}))",
        f"models[].continuation needs a provider that supports it: {listed}; set none or choose another provider",
        ".models",
    )


def provider_rules() -> list[Json]:
    """Return the rules of a provider that depend on its type."""
    return [
        rule(
            f"!(self.type in {_types(lambda traits: traits.needs_key)}) || has(self.apiKeySecretRef) ||"
            " has(self.credentials)",
            "apiKeySecretRef is required for this type unless it has credentials; name the Secret and key that hold the"
            " provider's API key, or set credentials.workloadIdentity",
            ".apiKeySecretRef",
        ),
        rule(
            f"!(self.type in {_types(lambda traits: traits.needs_base_url)}) || has(self.baseURL)",
            "baseURL is required for this type; give the endpoint of your resource or server",
            ".baseURL",
        ),
        rule(
            "!has(self.credentials) || !has(self.apiKeySecretRef)",
            "credentials and apiKeySecretRef are two ways to authenticate, of which pods use one; remove one of them",
            ".credentials",
        ),
        _own_exchange(),
        *(
            _own_settings(kind, traits.settings, traits.required_setting)
            for kind, traits in PROVIDER_TYPES.items()
            if traits.settings
        ),
        *map(_without_upstream, _types(lambda traits: not traits.has_upstream)),
        _has_responses(_types(lambda traits: traits.responses)),
        rule(
            "!has(self.api) || self.api == 'chat' || !has(self.azure) || !has(self.azure.apiVersion)",
            "api can be responses only with Azure's v1 API; remove azure.apiVersion",
            ".api",
        ),
        _can_leave_out("stream", _types(lambda traits: traits.has_upstream)),
        _can_leave_out("streamOptions", _types(lambda traits: traits.stream_options)),
    ]
