"""What a pod's requests meet is in its report at once, in the vendor's own words, and gone with the next answer."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.clients.sdk import HI
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process, fetch
from harness.polling import eventually
from harness.upstream.fake import Handler, Reply, fake_upstream
from harness.upstream.wires import OpenAIWire, answering, refusing

pytestmark = pytest.mark.lasts(50)

WIRE = OpenAIWire()
LIST = json.dumps({"data": [{"id": "gpt-x"}]}).encode()


def upstream(chat: Handler, listed: Handler | None = None) -> Handler:
    """Return the script of an upstream that answers to a chat by `chat`, whatever else it lists."""

    async def script(reply: Reply) -> None:
        await (chat if reply.request.method == "POST" else listed or refusing(200, LIST))(reply)

    return script


def error(status: int, words: str, code: str = "x", **headers: str) -> Handler:
    return refusing(status, json.dumps({"error": {"message": words, "code": code}}).encode(), **headers)


def config(url: str) -> RuntimeConfig:
    provider = RuntimeProvider(
        name="up", type=ProviderType.OPENAI_COMPATIBLE, base_url=f"{url}/v1", retries=Retries(max=0)
    )
    models = (Model(name="default", provider="up", model="gpt-x"),)
    return RuntimeConfig(
        deployment="support", namespace="shop", providers=(provider,), models=models, egress=LOOPBACK_EGRESS
    )


def chat(api: ApiProcess) -> int:
    return fetch(f"{api.url}/v1/chat/completions", {"model": "default", "messages": [HI]}).status


def report(api: ApiProcess) -> dict[str, Any]:
    found: dict[str, Any] = api.health("/health").json
    return found


def down_soon(api: ApiProcess, state: Callable[[dict[str, Any]], dict[str, Any]]) -> tuple[float, str]:
    """Chat until `state` of the report is down; return the seconds and the words."""
    begun = time.monotonic()

    def is_down() -> bool:
        assert chat(api) != 200
        return state(report(api)).get("state") == "down"

    eventually(is_down)
    return time.monotonic() - begun, state(report(api))["message"]


FAULTS = {
    "a wrong model": (error(404, "The model gpt-x does not exist"), "HTTP 404", 2),
    "a wrong path": (refusing(404, b"<h1>Not Found</h1>"), "HTTP 404", 2),
    "a path without this API": (refusing(405, b"Method Not Allowed"), "HTTP 405", 2),
    "a rejected key": (error(401, "Incorrect API key"), "Incorrect API key", 2),
    "no permission": (error(403, "Your project has no access"), "Your project has no access", 2),
    "a spent quota": (error(429, "You exceeded your current quota", "insufficient_quota"), "current quota", 2),
    "a rate limit": (error(429, "Slow down"), "Slow down", 6),
    "an error": (error(500, "It broke"), "It broke", 9),  # the circuit breaker lets few of these requests pass
}


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("fault", "words", "seconds"), FAULTS.values(), ids=FAULTS)
async def test_a_fault_that_only_a_chat_meets_is_reported_in_seconds_and_ends_with_an_answer(
    tmp_path: Path, fault: Handler, words: str, seconds: float
) -> None:
    async with fake_upstream(upstream(answering(WIRE))) as fake:
        with api_process(tmp_path, config(fake.url)) as api:
            assert await asyncio.to_thread(chat, api) == 200
            assert report_of(await asyncio.to_thread(report, api))["state"] == "up"
            fake.answers(upstream(fault))
            took, said = await asyncio.to_thread(down_soon, api, report_of)
            assert took < seconds
            assert words in said
            fake.answers(upstream(answering(WIRE)))
            # a circuit breaker that has opened lets a request pass after 10 s at most
            await asyncio.to_thread(eventually, lambda: chat(api) == 200)
            assert report_of(await asyncio.to_thread(report, api))["state"] == "up"


def report_of(found: dict[str, Any]) -> dict[str, Any]:
    model: dict[str, Any] = found["models"].get("default", {})
    return model


def provider_in(found: dict[str, Any]) -> dict[str, Any]:
    provider: dict[str, Any] = found["upstreams"].get("up", {})
    return provider


async def test_a_rejected_chat_lets_the_next_check_begin_at_once_and_its_end_is_seen_without_a_chat(
    tmp_path: Path,
) -> None:
    async with fake_upstream(upstream(answering(WIRE))) as fake:
        with api_process(tmp_path, config(fake.url)) as api:
            eventually_up = lambda: provider_in(report(api)).get("state") == "up"  # noqa: E731
            await asyncio.to_thread(eventually, eventually_up)
            rejected = error(401, "Incorrect API key")
            fake.answers(upstream(rejected, rejected))
            took, _ = await asyncio.to_thread(down_soon, api, provider_in)
            assert took < 4
            fake.answers(upstream(answering(WIRE)))
            chats = len([request for request in fake.requests if request.method == "POST"])
            await asyncio.to_thread(eventually, eventually_up)
            await asyncio.to_thread(eventually, lambda: report(api)["models"] == {})
            assert len([request for request in fake.requests if request.method == "POST"]) == chats


async def test_an_exchange_that_is_refused_is_reported_in_the_words_of_its_endpoint_until_it_is_not(
    tmp_path: Path,
) -> None:
    (token := tmp_path / "identity-token").write_text("header.subject.signature")
    given = b'{"access_token":"short-lived","token_type":"Bearer","expires_in":600}'
    refused = b'{"error":"invalid_grant","error_description":"No mapping accepts this subject."}'
    async with fake_upstream(refusing(401, refused)) as endpoint, fake_upstream(upstream(answering(WIRE))) as fake:
        sound = config(fake.url)
        exchange = {"tokenExchange": {"url": f"{endpoint.url}/token"}, "audience": "a", "tokenFile": str(token)}
        identity = {**sound.providers[0].document(), "workloadIdentity": exchange}
        provider = RuntimeProvider.model_validate(identity)
        with api_process(tmp_path, sound.model_copy(update={"providers": (provider,)})) as api:

            def is_down() -> bool:
                seen = provider_in(report(api))
                return seen.get("state") == "down" and (
                    "127.0.0.1 returned HTTP 401 for an access token: invalid_grant: No mapping accepts this subject"
                    in seen["message"]
                )

            await asyncio.to_thread(eventually, is_down)
            endpoint.answers(refusing(200, given))
            is_up = lambda: provider_in(report(api)).get("state") == "up"  # noqa: E731
            await asyncio.to_thread(eventually, is_up, seconds=60)
            assert await asyncio.to_thread(chat, api) == 200
    assert {request.headers["authorization"] for request in fake.requests} == {"Bearer short-lived"}
