"""SDKs of Go, Java and JavaScript, unmodified: each sees what the upstream sent."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from harness.clients.toolchains import Client
from harness.faults.proxy import Proxy
from harness.pods.api_process import ApiProcess, fetch
from harness.upstream.by_model import CALLS, interrupted
from harness.upstream.fake import fake_upstream
from harness.upstream.wires import INPUT_TOKENS, WORDS

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

SDKS = ("openai-go", "openai-go-old", "openai-java", "langchain4j", "spring-ai", "openai-js")
OFFER_RESPONSES = tuple(name for name in SDKS if name.startswith("openai"))
FINDS_ERRORS = tuple(name for name in SDKS if name != "spring-ai")
ANSWER = {"text": "".join(WORDS), "finish": "stop", "input": INPUT_TOKENS, "output": len(WORDS)}
COMMENT = b": keep-alive\n"
of_each_sdk = pytest.mark.parametrize("name", SDKS)


@pytest.fixture
def client(name: str, built: Callable[[str], Client]) -> Client:
    return built(name)


async def seen(client: Client, case: str, url: str) -> Any:  # noqa: ANN401  # whatever it prints
    """Return what a client saw in a case."""
    (line,) = await client.run(case, f"{url}/v1")
    return line


@of_each_sdk
async def test_a_whole_answer(client: Client, pod: ApiProcess) -> None:
    assert await seen(client, "whole", pod.url) == ANSWER


@of_each_sdk
async def test_a_slow_stream_with_its_usage(client: Client, pod: ApiProcess) -> None:
    assert await seen(client, "stream", pod.url) == ANSWER | {"pieces": list(WORDS)}


async def test_the_slow_stream_has_comments_between_its_tokens(pod: ApiProcess) -> None:
    question = {"model": "slow", "messages": [{"role": "user", "content": "Count."}], "stream": True}
    events = (await asyncio.to_thread(fetch, f"{pod.url}/v1/chat/completions", question)).body
    first, second, last = events.split(COMMENT)
    assert b'"One"' in first
    assert b'" two"' in second
    assert last.endswith(b"data: [DONE]\n\n")


@of_each_sdk
async def test_a_comment_with_an_empty_line_breaks_the_old_sdk_alone(client: Client) -> None:
    """The control: what these tests would see if a heartbeat ended in an empty line."""
    async with fake_upstream(interrupted(COMMENT + b"\n")) as server:
        found = await seen(client, "stream", server.url)
    assert (found["text"] != ANSWER["text"]) == (client.name == "openai-go-old"), found


@of_each_sdk
async def test_tool_calls_and_their_results(client: Client, pod: ApiProcess) -> None:
    assert await seen(client, "tools", pod.url) == {
        "calls": list(map(list, CALLS)),
        "finish": "tool_calls",
        "text": "call_a=sunny call_b=noon ",
    }


@of_each_sdk
@pytest.mark.parametrize(
    ("case", "status", "code"), [("refused", 429, "rate_limit_exceeded"), ("unknown", 404, "model_not_found")]
)
async def test_a_refusal_has_its_status_and_code(
    client: Client, pod: ApiProcess, case: str, status: int, code: str
) -> None:
    assert await seen(client, case, pod.url) == {"status": status, "code": code}


@pytest.mark.parametrize("name", FINDS_ERRORS)
async def test_a_stream_that_is_cut_ends_with_an_error(client: Client, pod: ApiProcess) -> None:
    found = await seen(client, "cut", pod.url)
    assert (found["pieces"], found["error"]["code"]) == (list(WORDS[:2]), "upstream_truncated")


@pytest.mark.parametrize("name", ["spring-ai"])
async def test_an_sdk_that_finds_no_error_in_a_stream_gets_no_finish_reason(client: Client, pod: ApiProcess) -> None:
    found = await seen(client, "cut", pod.url)
    assert (found["pieces"], found["finish"]) == (list(WORDS[:2]), "")


@pytest.mark.parametrize("name", OFFER_RESPONSES)
async def test_a_streamed_response(client: Client, pod: ApiProcess) -> None:
    assert await seen(client, "responses", pod.url) == {"text": ANSWER["text"], "last": "response.completed"}


@of_each_sdk
async def test_a_body_that_is_too_large_is_refused_once(client: Client, pod: ApiProcess) -> None:
    """A connection that is reset would hide the status, and the SDK would send the body again."""
    async with Proxy(pod.port) as proxy:
        found = await seen(client, "large", f"http://{proxy.host}:{proxy.port}")
    assert found == {"status": 413, "code": "request_too_large"}
    assert proxy.accepted == 1
