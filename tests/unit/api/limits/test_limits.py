"""Limits as clients meet them: refused by status and headers, released with the answer, changed while pods run."""

import asyncio
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.providers.provider import Finish
from chatfleet_contract.spec.limits import Burst, Limit, ModelLimit
from harness.clients.asgi import Exchange, ask, asking, post
from harness.pods.api_pod import Pod
from harness.pods.runs import CALLER, STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

CHAT = "/v1/chat/completions"
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
VERSION = {"anthropic-version": "2026-10-21"}
WORDS = text("a", "b")


def limited(pod: Pod, **fields: int | Burst) -> None:
    pod.change("limits", per_tenant=Limit(**fields))  # type: ignore[arg-type]


async def completed(pod: Pod, path: str = CHAT, body: dict[str, Any] | None = None) -> Exchange:
    asked = post(path, body or HI, **VERSION)
    await ask(pod.app, asked)
    return asked


async def test_without_limits_nothing_is_reserved_and_no_header_added() -> None:
    pod = Pod(FakeProvider(WORDS, [STOP]))
    assert pod.limiter.idle
    asked = await completed(pod)
    assert not [name for name in asked.headers if "ratelimit" in name]


@pytest.mark.feature(51)
async def test_requests_beyond_the_limit_are_refused_until_the_time_that_retry_after_gives() -> None:
    pod = Pod(FakeProvider(WORDS, [STOP]))
    limited(pod, requests_per_minute=2)
    first = await completed(pod)
    assert (first.status, first.headers["x-ratelimit-limit-requests"]) == (200, "2")
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"] == "30s"
    await completed(pod)
    refused = await completed(pod)
    assert (refused.status, refused.headers["retry-after"]) == (429, "30")
    assert (refused.headers["x-should-retry"], refused.headers["x-ratelimit-reset-requests"]) == ("true", "1m0s")
    assert refused.json()["error"]["code"] == "limit_exceeded"
    assert "2 requests per minute" in refused.json()["error"]["message"]
    await asyncio.sleep(29)
    assert (await completed(pod)).status == 429
    await asyncio.sleep(1)
    assert (await completed(pod)).status == 200


async def test_a_request_reserves_the_most_that_its_answer_may_have_and_returns_what_it_did_not_use() -> None:
    provider = FakeProvider(WORDS, 1.0, [Finish("stop", Usage(input_tokens=10, output_tokens=390))])
    pod = Pod(provider)
    limited(pod, tokens_per_minute=6000)
    asked = post(CHAT, {**HI, "stream": True, "max_tokens": 5999})
    async with asking(pod.app, asked) as answering:
        await asked.until(b'"content":"a"')
        assert asked.headers["x-ratelimit-remaining-tokens"] == "0"
        assert (await completed(pod)).status == 429
        await answering
    after = await completed(pod, body={**HI, "max_tokens": 99})
    assert (after.status, after.headers["x-ratelimit-remaining-tokens"]) == (
        200,
        str(6000 - 400 + 100 - 100),
    )  # in a second, 100 come back


async def test_a_request_of_more_tokens_than_the_burst_passes_alone_and_pays_at_its_end() -> None:
    pod = Pod(FakeProvider(WORDS, [Finish("stop", Usage(input_tokens=100, output_tokens=100))]))
    limited(pod, tokens_per_minute=60, burst=Burst(tokens=100))
    assert (await completed(pod, body={**HI, "max_tokens": 100_000})).status == 200
    refused = await completed(pod, body={**HI, "max_tokens": 1})
    assert refused.status == 429
    assert float(refused.headers["retry-after"]) <= 120


async def test_an_answer_that_fails_before_its_first_token_costs_no_tokens() -> None:
    pod = Pod(FakeProvider(ChatError(Code.UPSTREAM_REJECTED)))
    limited(pod, tokens_per_minute=6000)
    assert (await completed(pod)).status == 400
    pod_after = await completed(pod, body={**HI, "max_tokens": 10})
    assert pod_after.headers["x-ratelimit-remaining-tokens"] == str(6000 - 11)


async def test_a_cancelled_answer_costs_what_was_written_of_it() -> None:
    pod = Pod(FakeProvider(text("word" * 100), 100.0, [STOP]))
    limited(pod, tokens_per_minute=6000, concurrent_streams=1)
    asked = post(CHAT, {**HI, "stream": True, "max_tokens": 5000})
    async with asking(pod.app, asked) as answering:
        await asked.until(b"word")
        asked.left.set()
        await answering
    await pod.pool.idle(1)
    after = await completed(pod, body={**HI, "max_tokens": 99, "stream": True})
    assert after.headers["x-ratelimit-remaining-tokens"] == str(6000 - 101 - 100)


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
async def test_streams_beyond_the_limit_are_refused_until_one_has_ended(path: str) -> None:
    pod = Pod(FakeProvider(WORDS, 10.0, [STOP]))
    limited(pod, concurrent_streams=1)
    body = {"model": "m", "input": "Hi", "store": False} if path.endswith("responses") else {**HI, "max_tokens": 9}
    asked = post(path, {**body, "stream": True}, **VERSION)
    async with asking(pod.app, asked) as answering:
        await asked.until(b"a")
        refused = await completed(pod, path, body)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        await answering
    assert (await completed(pod, path, body)).status == 200


async def test_a_request_that_is_refused_later_gives_its_stream_back(monkeypatch: pytest.MonkeyPatch) -> None:
    pod = Pod(FakeProvider(WORDS, [STOP]))
    limited(pod, concurrent_streams=1)
    conversation = (await pod.chat.conversations.create(CALLER)).id

    async def changed(*_: object) -> None:
        raise ChatError(Code.CONVERSATION_CHANGED)

    with monkeypatch.context() as patched:
        patched.setattr(pod.chat.sessions, "append", changed)
        refused = await completed(pod, f"/api/v1/conversations/{conversation}/messages", {"content": "Hi"})
    assert (refused.status, (await completed(pod)).status) == (409, 200)


async def test_anthropics_clients_get_the_headers_that_they_know() -> None:
    pod = Pod(FakeProvider(WORDS, [STOP]))
    limited(pod, requests_per_minute=1, tokens_per_minute=100_000)
    body = {**HI, "max_tokens": 9}
    first, second = [await completed(pod, "/v1/messages", body) for _ in range(2)]
    assert first.headers["anthropic-ratelimit-requests-limit"] == "1"
    assert first.headers["anthropic-ratelimit-tokens-remaining"] == str(100_000 - 10)
    assert first.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert (second.status, second.json()["error"]["type"]) == (429, "rate_limit_error")
    assert second.json()["error"]["details"]["error_code"] == "limit_exceeded"
    assert not [name for name in second.headers if name.startswith("x-ratelimit")]


async def test_a_change_acts_on_the_next_request() -> None:
    pod = Pod(FakeProvider(WORDS, [STOP]))
    limited(pod, requests_per_minute=1)
    assert [(await completed(pod)).status for _ in range(2)] == [200, 429]
    limited(pod, requests_per_minute=100)
    assert (await completed(pod)).status == 200
    pod.change("limits", per_tenant=None)
    asked = await completed(pod)
    assert (asked.status, "x-ratelimit-limit-requests" in asked.headers) == (200, False)


async def test_a_model_has_a_limit_of_its_own_within_that_of_the_tenant() -> None:
    pod = Pod(FakeProvider(WORDS, [STOP]))
    pod.change(
        "limits",
        per_tenant=Limit(requests_per_minute=100),
        models=[ModelLimit(model="m", requests_per_minute=1), ModelLimit(model="other", requests_per_minute=1)],
    )
    first, second = await completed(pod), await completed(pod)
    assert (first.headers["x-ratelimit-limit-requests"], second.status) == ("1", 429)
    assert second.json()["error"]["message"] == "The limit of the model is reached: 1 requests per minute."
