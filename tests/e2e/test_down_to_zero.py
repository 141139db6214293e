"""Down to no pod and back under load: nobody is refused, and who asks for a stream hears at once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from openai import OpenAI

from harness.kube.node import MANIFESTS, Node
from harness.polling import eventually

pytestmark = pytest.mark.timeout(400)
NAMESPACE = "asleep"
ASKED = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "Are you there?"}]}


@pytest.fixture(scope="module")
def sleepy(installed: Node) -> Node:
    """Apply a ChatDeployment that begins asleep, and wait until its waiting room answers."""
    installed.kubectl.apply((MANIFESTS / "sleepy.yaml").read_text())
    eventually(lambda: ready(installed, "sleepy-activator") == 1, seconds=60)
    return installed


def scale(node: Node, pods: int) -> None:
    """Do what KEDA does."""
    node.kubectl("scale", "deployment/sleepy", f"--replicas={pods}", "-n", NAMESPACE)


def ready(node: Node, deployment: str) -> int:
    status = node.kubectl.json("get", "deployment", deployment, "-n", NAMESPACE)["status"]
    count: int = status.get("readyReplicas", 0)
    return count


class Callers:
    """Callers who ask for a stream again and again, each on a connection of its own, and note what came of it."""

    def __init__(self, url: str) -> None:
        self.ends: Counter[str] = Counter()
        self.first_bytes: list[float] = []
        self._url = f"{url}/v1/chat/completions"

    @asynccontextmanager
    async def calling(self, number: int) -> AsyncGenerator[None, None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            tasks = [asyncio.create_task(self._call(session)) for _ in range(number)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _call(self, session: aiohttp.ClientSession) -> None:
        while True:
            self.ends[await self._once(session)] += 1
            await asyncio.sleep(0.2)

    async def _once(self, session: aiohttp.ClientSession) -> str:
        began = time.monotonic()
        try:
            async with session.post(self._url, json=ASKED) as answer:
                body = await answer.content.readany()
                self.first_bytes.append(time.monotonic() - began)
                body += await answer.content.read()
        except aiohttp.ClientError as error:
            return repr(error)
        if answer.status == 200 and body.endswith(b"data: [DONE]\n\n"):
            return "answered"
        return f"{answer.status} {body[-200:]!r}"


async def has_ready(node: Node, deployment: str, count: int) -> None:
    await asyncio.to_thread(eventually, lambda: ready(node, deployment) == count, seconds=90)


async def test_down_to_no_pod_and_back_nobody_is_refused(sleepy: Node) -> None:
    callers = Callers(sleepy.service("sleepy", NAMESPACE))
    async with callers.calling(5):
        for _ in range(3):
            await asyncio.sleep(2)
            assert callers.ends.keys() <= {"answered"}
            await asyncio.to_thread(scale, sleepy, 1)
            await has_ready(sleepy, "sleepy", 1)
            await has_ready(sleepy, "sleepy-activator", 0)
            before = callers.ends["answered"]
            await asyncio.sleep(2)
            assert callers.ends["answered"] > before
            await asyncio.to_thread(scale, sleepy, 0)
            await has_ready(sleepy, "sleepy-activator", 1)
            await asyncio.to_thread(eventually, lambda: not pods_of_the_api(sleepy), seconds=60)
        await asyncio.to_thread(scale, sleepy, 1)
        await has_ready(sleepy, "sleepy", 1)
        await asyncio.sleep(3)
    assert callers.ends.keys() == {"answered"}
    print(f"answered {callers.ends.total()}, first bytes {sorted(callers.first_bytes)[-5:]}")  # noqa: T201  # -s shows


async def test_a_first_token_comes_within_a_second_of_the_first_pod(sleepy: Node) -> None:
    scale(sleepy, 0)
    await has_ready(sleepy, "sleepy-activator", 1)
    await asyncio.to_thread(eventually, lambda: not pods_of_the_api(sleepy), seconds=60)
    sdk = OpenAI(base_url=f"{sleepy.service('sleepy', NAMESPACE)}/v1", api_key="none", max_retries=0)

    def first() -> float:
        messages = ASKED["messages"]
        with sdk.chat.completions.create(model="echo", messages=messages, stream=True) as chunks:  # type: ignore[call-overload]
            next(chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content)
        return time.monotonic()

    told = asyncio.ensure_future(asyncio.to_thread(first))
    await asyncio.sleep(1)
    scale(sleepy, 1)
    await asyncio.to_thread(eventually, lambda: ready(sleepy, "sleepy"), every=0.05)
    since = time.monotonic()
    print(f"first token {await told - since:.2f} s after the pod was seen to be ready")  # noqa: T201  # -s shows


def pods_of_the_api(node: Node) -> str:
    return node.kubectl("get", "pods", "-n", NAMESPACE, "-l", "chatfleet.io/component=api", "-o", "name")


def test_it_says_that_it_sleeps_or_serves(sleepy: Node) -> None:
    sleepy.kubectl.wait("chatdeployment/sleepy", "Ready", namespace=NAMESPACE)
