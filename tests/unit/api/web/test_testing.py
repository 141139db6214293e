"""`/test/*` exists only while it is on, for callers with a credential, and within bounds."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.web.testing import MAX_ECHO_BYTES, MAX_OPEN
from harness.clients.asgi import Exchange, ask, asking, get
from harness.pods.administered import AS_WEB, WEB, secrets
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

ROUTES = ("echo", "slow", "fail", "stream", "memory")


def served_pod() -> Pod:
    pod = Pod(FakeProvider(text("a"), [STOP]))
    pod.change("observability", test_routes=True)
    return pod


@pytest.mark.feature(16)
async def test_off_they_do_not_exist() -> None:
    pod = Pod(FakeProvider(text("a"), [STOP]))
    assert [(await ask(pod.app, get(f"/test/{route}"))).status for route in ROUTES] == [404] * len(ROUTES)
    pod.change("observability", test_routes=True)
    assert (await ask(pod.app, get("/test/echo"))).status == 200
    assert (await ask(pod.app, get("/test/unknown"))).status == 404
    assert pod.health.report().test_routes
    pod.change("observability", test_routes=False)
    assert (await ask(pod.app, get("/test/echo"))).status == 404
    assert not pod.health.report().test_routes


def test_off_their_code_is_not_loaded() -> None:
    program = "import sys, chatfleet_api.__main__; print('chatfleet_api.web.testing' in sys.modules)"
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_callers_need_a_credential(tmp_path: Path) -> None:
    pod = served_pod()
    pod.change("access", anonymous=False, api_keys=secrets(tmp_path))
    pod.refresh_keys()
    assert [(await ask(pod.app, get(f"/test/{route}"))).status for route in ROUTES] == [401] * len(ROUTES)
    answer = await ask(pod.app, get("/test/echo?a=b", **AS_WEB, **{"user-agent": "probe", "x-other": WEB}))
    assert (answer.status, answer.json()["query"]) == (200, "a=b")
    assert answer.json()["headers"] == {"user-agent": "probe"}
    assert WEB not in answer.body.decode()


async def test_an_echo_has_the_body_up_to_its_bound() -> None:
    pod = served_pod()
    for size, status in ((MAX_ECHO_BYTES, 200), (MAX_ECHO_BYTES + 1, 413)):
        answer = await ask(pod.app, Exchange("POST", "/test/echo", body=b"a" * size))
        assert answer.status == status
    echoed = (await ask(pod.app, Exchange("POST", "/test/echo", body=b"Hi"))).json()
    assert (echoed["method"], echoed["body"]) == ("POST", "Hi")


@pytest.mark.parametrize("code", Code)
async def test_a_failure_is_that_of_its_code(code: Code) -> None:
    answer = await ask(served_pod().app, get(f"/test/fail?code={code}"))
    assert 400 <= answer.status < 600
    assert answer.json()["code"] == code


async def test_failures_are_counted_by_route() -> None:
    pod = served_pod()
    await ask(pod.app, get("/test/fail?code=at_capacity"))
    lines = pod.meter.exposition().decode().splitlines()
    assert 'chatfleet_requests_total{route="/test/fail",status="503"} 1.0' in lines
    assert 'chatfleet_requests_rejected_total{reason="at_capacity"} 1.0' in lines


async def test_a_stream_has_its_tokens_at_their_pace() -> None:
    began = asyncio.get_running_loop().time()
    answer = await ask(served_pod().app, get("/test/stream?tokens=3&interval_ms=500"))
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.5, abs=0.2)
    shown = [json.loads(frame.partition("data: ")[2]) for frame in answer.body.decode().strip().split("\n\n")]
    assert [(each["type"], each.get("index")) for each in shown] == [
        *(("token", number) for number in range(3)),
        ("complete", None),
    ]
    assert shown[-1]["tokens"] == 3


@pytest.mark.parametrize(
    "path",
    [
        *("slow?seconds=60.1", "slow?seconds=-1", "slow?seconds=nan", "slow?seconds=inf"),
        *("stream?tokens=10001&interval_ms=0", "stream?tokens=1&interval_ms=1001", "stream?tokens=61&interval_ms=1000"),
        *("memory?mebibytes=65", "memory?mebibytes=0", "memory?seconds=61", "fail?code=everything"),
    ],
)
async def test_what_exceeds_the_bounds_is_refused(path: str) -> None:
    assert (await ask(served_pod().app, get(f"/test/{path}"))).status == 400


async def test_few_are_under_way_at_a_time_and_one_holds_memory() -> None:
    pod = served_pod()
    loop = asyncio.get_running_loop()
    holding = get("/test/memory?mebibytes=1&seconds=30")
    slow = [get(f"/test/{'slow?seconds=20' if number % 2 else 'stream?interval_ms=200'}") for number in range(7)]
    async with asking(pod.app, holding) as held:
        await asyncio.sleep(1)
        assert (await ask(pod.app, get("/test/memory"))).status == 429
        under_way = [asyncio.ensure_future(ask(pod.app, each)) for each in slow]
        assert len(under_way) + 1 == MAX_OPEN
        await asyncio.sleep(1)
        refused = [(await ask(pod.app, get(f"/test/{route}"))).status for route in ("slow", "stream", "memory")]
        assert refused == [429] * 3
        assert {answer.status for answer in await asyncio.gather(*under_way)} == {200}
        assert (await ask(pod.app, get("/test/slow?seconds=0"))).status == 200
        began = loop.time()
        await held
        assert holding.json() == {"mebibytes": 1, "seconds": 30.0}
        assert loop.time() - began < 30
