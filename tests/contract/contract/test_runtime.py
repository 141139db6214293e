"""The runtime configuration crosses from the operator to the pods without a change."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chatfleet_contract import names
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider, RuntimeTimeouts, RuntimeToolServer, digest_of
from chatfleet_contract.spec import Conversations, Limits, LogFormat, LogLevel, Observability, Streaming
from chatfleet_contract.spec.cache import Cache
from chatfleet_contract.spec.limits import Burst, Limit, ModelLimit
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Azure, Model, Parameters, Retries

LEAST = RuntimeConfig(
    deployment="support",
    namespace="shop",
    providers=(RuntimeProvider(name="script", type=ProviderType.SCRIPTED),),
    models=(Model(name="default", provider="script", model="echo"),),
)
FULL = RuntimeConfig(
    deployment="support",
    namespace="shop",
    providers=(
        RuntimeProvider(
            name="azure",
            type=ProviderType.AZURE_OPENAI,
            base_url="https://example.openai.azure.com",
            api_key_file=names.api_key_file("azure"),
            azure=Azure(api_version="2024-10-21"),
            timeouts=RuntimeTimeouts(connect_seconds=0.5, first_token_seconds=20, stall_seconds=1.25, total_seconds=90),
            retries=Retries(max=1, initial_seconds=2, max_seconds=3),
            max_concurrent_requests=7,
        ),
    ),
    models=(
        Model(
            name="default",
            provider="azure",
            model="gpt-6-sol",
            fallbacks=["other"],
            parameters=Parameters(temperature=0.1, top_p=0.9, max_tokens=100),
            tools=["tickets"],
            max_steps=3,
        ),
    ),
    tool_servers=(
        RuntimeToolServer(
            name="tickets",
            url="http://tickets.shop.svc/mcp",
            headers_folder=names.tool_headers_dir("tickets"),
            allow=("search",),
            timeout_seconds=5,
            approve="always",
        ),
    ),
    redis_url_file=names.REDIS_URL_FILE,
    conversations=Conversations(ttl_seconds=60),
    streaming=Streaming(
        max_streams_per_pod=1, max_stream_seconds=2, heartbeat_seconds=3, drain_seconds=4, log_ttl_seconds=60
    ),
    limits=Limits(
        per_tenant=Limit(requests_per_minute=60, burst=Burst(requests=10)),
        models=[ModelLimit(model="default", tokens_per_minute=1000)],
        on_redis_away="local",
    ),
    cache=Cache(enabled=True, ttl_seconds=60, max_bytes=2_000_000),
    observability=Observability(log_level=LogLevel.DEBUG, log_format=LogFormat.TEXT),
)


@pytest.mark.parametrize("config", [LEAST, FULL], ids=["least", "full"])
def test_what_is_rendered_is_what_is_parsed(config: RuntimeConfig) -> None:
    parsed = RuntimeConfig.model_validate_json(config.render())
    assert parsed == config
    assert parsed.render() == config.render()
    assert digest_of(config.render()) == config.digest()


def test_the_text_does_not_depend_on_the_order_of_what_was_read() -> None:
    turned = json.loads(FULL.render(), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert RuntimeConfig.model_validate(turned).render() == FULL.render()


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401  # JSON
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path
    else:
        for step, each in inner:
            yield from leaves(each, (*path, step))


@pytest.mark.parametrize("path", list(leaves(FULL.document())), ids=lambda path: ".".join(map(str, path)))
def test_any_change_is_a_change_of_the_digest(path: tuple[str | int, ...]) -> None:
    changed = FULL.document()
    *way, last = path
    holder: Any = changed
    for step in way:
        holder = holder[step]
    holder[last] = other(holder[last])
    assert RuntimeConfig.model_validate(changed).digest() != FULL.digest()


def other(value: object) -> object:
    """Return another value that the same field may have."""
    words = {"azureOpenAI": "openai", "chat": "responses", "debug": "info", "text": "json", "none": "prefill"}
    words |= {"continue": "cancel", "reject": "enqueue", "finish": "cut", "2024-10-21": "2024-10-21-preview"}
    words |= {"local": "reject", "all": "none", "current": "latest", "trim": "reject", "always": "never"}
    if isinstance(value, str):
        return words.get(value, f"{value}2")
    if isinstance(value, bool):
        return not value
    assert isinstance(value, int | float)
    return value / 2 if isinstance(value, float) else value + 1


def test_an_older_pod_reads_what_a_newer_operator_wrote() -> None:
    newer = {**FULL.document(), "novelty": {"a": 1}}
    assert RuntimeConfig.model_validate(newer) == FULL
