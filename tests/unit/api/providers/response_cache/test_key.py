"""Equal requests of a tenant have one key, whatever their JSON looks like; all that an upstream gets is in it."""

import json
import random
from typing import Any, Final, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatfleet_api.domain.request import CHAT, Affinity, ChatRequest, Message, Sent
from chatfleet_api.providers.response_cache.key import cache_key, model_mark
from chatfleet_api.web.dialects.messages.request import WITH_SAMPLING, read_message
from chatfleet_api.web.dialects.openai.request import read_completion
from chatfleet_contract.runtime import RuntimeProvider, RuntimeTimeouts
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Parameters

JSONValue: TypeAlias = object

MARK: Final = b"model"
BODY: Final[dict[str, Any]] = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "temperature": 0,
    "top_p": 0.5,
    "max_completion_tokens": 7,
    "logit_bias": {"1": 2, "3": 4},
    "metadata": {"a": "b", "c": "d"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
}
COMMON: Final = ChatRequest("m", (Message("user", "Hi"),), temperature=0.0)
JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OTHERS: Final = {
    "messages": [{"role": "user", "content": "Hi?"}],
    "temperature": 0.5,
    "seed": 1,
    "top_p": 0.6,
    "max_completion_tokens": 8,
    "logit_bias": {"1": 2, "3": 5},
    "metadata": {"a": "c"},
    "response_format": {"type": "json_object"},
    "stop": ["."],
    "user": "ann",
    "prompt_cache_key": "k",
    "service_tier": "flex",
    "reasoning_effort": "low",
    "logprobs": True,
    "verbosity": "low",
    "stream_options": {"of_next_year": 1},
}
"""Another value of each parameter."""

OTHER_TERMS: Final[dict[str, Any]] = {
    "model": "other",
    "messages": (Message("user", "Hi?"),),
    "top_p": 0.5,
    "max_tokens": 5,
    "stop": (".",),
    "seed": 1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "reasoning_effort": "low",
    "reasoning_summary": "auto",
    "response_format": {"type": "json_object"},
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "user": "ann",
    "logprobs": True,
    "top_logprobs": 2,
    "truncates": True,
    "caches_instructions": True,
    "keeps_thoughts": True,
}
"""Another value of each field of a request in the common terms."""
DECIDE: Final = {"temperature", "tools", "continues", "decided"}
"""Fields by which a request can be cached, or not."""
APART: Final = {"sent", "affinity", "routing"}


def key(body: dict[str, Any], tenant: str = "shop", mark: bytes = MARK) -> str | None:
    return cache_key(tenant, mark, read_completion(json.dumps(body).encode()).request)


def shuffled(value: JSONValue, order: random.Random) -> JSONValue:
    """Return the same JSON with the names of its objects in another order."""
    if isinstance(value, dict):
        names = list(value)
        order.shuffle(names)
        return {name: shuffled(value[name], order) for name in names}
    return [shuffled(each, order) for each in value] if isinstance(value, list) else value


def sent(fields: dict[str, Any]) -> ChatRequest:
    return replace(COMMON, sent=Sent(CHAT, msgspec.Raw(json.dumps(fields).encode()), 1))


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.sampled_from([None, 1, "\t"]))
def test_neither_the_order_of_names_nor_white_space_is_in_the_key(order: random.Random, indent: int | None) -> None:
    raw = json.dumps(shuffled(BODY, order), indent=indent).encode()
    assert cache_key("shop", MARK, read_completion(raw).request) == key(BODY) is not None


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["metadata", "logit_bias", "text", "input", "thinking"]), JSON), JSON)
def test_any_other_value_of_any_field_is_another_key(fields: dict[str, JSONValue], other: JSONValue) -> None:
    keys = {cache_key("shop", MARK, sent(fields))}
    values = [json.dumps(fields, sort_keys=True)]
    for name in fields:
        changed = fields | {name: other}
        values.append(json.dumps(changed, sort_keys=True))
        keys.add(cache_key("shop", MARK, sent(changed)))
    assert None not in keys
    assert len(keys) == len(set(values))


@pytest.mark.parametrize("name", OTHERS)
def test_every_parameter_is_in_the_key(name: str) -> None:
    deterministic = BODY | {"seed": 7}
    changed = deterministic | {name: OTHERS[name]}
    if name == "stream_options":
        changed |= {"stream": True}
    assert key(changed) != key(deterministic)
    assert key(changed) is not None


def test_every_field_of_the_common_terms_is_in_the_key() -> None:
    assert {*OTHER_TERMS} | DECIDE | APART == {*ChatRequest.__struct_fields__}
    keys = [cache_key("shop", MARK, replace(COMMON, **{name: value})) for name, value in OTHER_TERMS.items()]
    assert None not in keys
    assert len({*keys, cache_key("shop", MARK, COMMON)}) == len(OTHER_TERMS) + 1


@pytest.mark.parametrize(
    "change",
    [{"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, {"n": 1, "tools": []}],
    ids=lambda change: next(iter(change)),
)
def test_how_a_client_wants_to_read_an_answer_is_not_in_the_key(change: dict[str, Any]) -> None:
    same = key(BODY | {"n": 1, "tools": []}) if "n" in change else key(BODY)
    assert key(BODY | change) == same is not None


def test_tenants_models_and_dialects_never_share_an_answer() -> None:
    message = {"model": "m", "max_tokens": 7, "temperature": 0, "messages": [{"role": "user", "content": "Hi"}]}
    in_messages = read_message(json.dumps(message).encode(), WITH_SAMPLING, None)
    keys = [
        key(BODY),
        key(BODY, "other"),
        key(BODY, ""),
        key(BODY, mark=b"other"),
        cache_key("shop", MARK, read_completion(json.dumps(message).encode()).request),
        cache_key("shop", MARK, in_messages.request),
        cache_key("shop", MARK, COMMON),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_a_hint_to_the_cache_of_prompts_is_not_in_the_key_and_a_continued_answer_has_none() -> None:
    hinted = replace(COMMON, affinity=Affinity("conversation"))
    assert cache_key("shop", MARK, hinted) == cache_key("shop", MARK, COMMON)
    assert cache_key("shop", MARK, replace(COMMON, continues=True)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.1},
        {"temperature": None},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"functions": [{"name": "f", "parameters": {}}]},
        {"web_search_options": {"search_context_size": "low"}},
        {"store": True},
        {"n": 2},
        {"audio": {"voice": "alloy", "format": "wav"}},
        {"field_of_next_year": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_request_without_one_answer_or_with_effects_has_no_key(change: dict[str, Any]) -> None:
    assert key(BODY | change) is None


def test_a_seed_is_as_good_as_a_temperature_of_0() -> None:
    assert key({**BODY, "temperature": 1, "seed": 5}) is not None


def test_a_model_is_another_one_with_another_upstream_or_parameter() -> None:
    provider = RuntimeProvider(name="p", type=ProviderType.OPENAI)
    model = Model(name="m", provider="p", model="gpt-x")
    marks = [
        model_mark(model, provider),
        model_mark(model.model_copy(update={"model": "gpt-y"}), provider),
        model_mark(model.model_copy(update={"parameters": Parameters(max_tokens=5)}), provider),
        model_mark(model, provider.model_copy(update={"base_url": "https://other.example"})),
        model_mark(model, provider.model_copy(update={"api": "responses"})),
    ]
    assert len(set(marks)) == len(marks)
    slower = provider.model_copy(update={"timeouts": RuntimeTimeouts(first_token_seconds=9)})
    cheaper = model.model_copy(update={"fallbacks": ["other"]})
    assert model_mark(cheaper, slower) == marks[0]
