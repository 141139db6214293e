"""The HTTP client of the JDK by default: its first request asks for an upgrade to HTTP/2, which we do not offer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.clients.toolchains import Client
from harness.faults.proxy import Proxy
from harness.pods.api_process import ApiProcess
from harness.upstream.wires import WORDS

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

CONVERSATION = {"user_id": "anna", "title": "Trip", "metadata": {"a": "b"}}


@pytest.fixture
def jdk(built: Callable[[str], Client]) -> Client:
    return built("jdk")


def question(*, stream: bool) -> dict[str, object]:
    return {"model": "fast", "messages": [{"role": "user", "content": "Count."}], "stream": stream}


async def answers(jdk: Client, url: str, *requests: tuple[str, str, object]) -> list[Any]:
    """Return the answers to requests that one client sends, one after the other."""
    lines = (f"{method}\t{url}{path}\t{json.dumps(body) if body else ''}\n" for method, path, body in requests)
    return await jdk.run(given="".join(lines))


async def test_the_first_request_keeps_its_body(jdk: Client, pod: ApiProcess) -> None:
    (created,) = await answers(jdk, pod.url, ("POST", "/api/v1/conversations", CONVERSATION))
    path = f"/api/v1/conversations/{json.loads(created['body'])['id']}"
    (found,) = await answers(jdk, pod.url, ("GET", path, None))
    assert (created["status"], found["status"]) == (201, 200)
    kept = json.loads(found["body"])
    assert {name: kept[name] for name in CONVERSATION} == CONVERSATION


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion_whole_and_streamed(jdk: Client, pod: ApiProcess, *, stream: bool) -> None:
    (answer,) = await answers(jdk, pod.url, ("POST", "/v1/chat/completions", question(stream=stream)))
    assert answer["status"] == 200
    if stream:
        assert answer["body"].endswith("data: [DONE]\n\n")
        assert all(f'"content":"{word}"' in answer["body"] for word in WORDS)
    else:
        assert json.loads(answer["body"])["choices"][0]["message"]["content"] == "".join(WORDS)


async def test_the_next_requests_go_over_the_same_connection(jdk: Client, pod: ApiProcess) -> None:
    asked = question(stream=False)
    async with Proxy(pod.port) as proxy:
        url = f"http://{proxy.host}:{proxy.port}"
        found = await answers(jdk, url, *[("POST", "/v1/chat/completions", asked)] * 3)
    assert [answer["status"] for answer in found] == [200, 200, 200]
    assert proxy.accepted == 1


async def test_a_body_that_is_too_large_is_refused(jdk: Client, pod: ApiProcess) -> None:
    (answer,) = await answers(jdk, pod.url, ("POST", "/api/v1/conversations", {"title": "a" * (5 << 20)}))
    assert (answer["status"], json.loads(answer["body"])["code"]) == (413, "request_too_large")
