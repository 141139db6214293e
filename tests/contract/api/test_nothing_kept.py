"""What nobody can ask for again is not kept: not in Redis, and not in the memory of the pod."""

import gc
import http.client
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, closing
from pathlib import Path

import pytest
from redis import Redis

from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_contract.runtime import RuntimeConfig
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.pods.runs import CALLER, STOP, TENANT, FakeProvider, make_chat, memory_log, text

STREAMS = 2_000
CLIENTS = 4
WORDS = 100
MAX_GROWTH_BYTES = 12_000_000
"""Much less than the 2,000 answers take as events: 40 MB."""
COMPLETIONS = 20_000
MAX_SUMS = 6
"""Keys with the usage of a tenant: of today, of each kind; of two days at midnight."""
BODY = {"model": "count", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


def config(redis_file: Path | None = None) -> RuntimeConfig:
    """Return that of a pod whose model counts to 100 as fast as it can."""
    given = scripted("count")
    model = given.models[0].model_copy(update={"model": f"count-{WORDS}"})
    return given.model_copy(update={"models": (model,), "redis_url_file": redis_file and str(redis_file)})


def stream(api: ApiProcess, times: int, path: str = "/v1/chat/completions", **body: object) -> None:
    """Read so many streams to their end, one after the other on one connection."""
    sent = json.dumps(BODY | body)
    with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)) as connection:
        for _ in range(times):
            connection.request("POST", path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.read().endswith((b"data: [DONE]\n\n", b"}\n\n"))


def stream_many(api: ApiProcess, streams: int) -> None:
    with ThreadPoolExecutor(CLIENTS) as threads:
        for each in [threads.submit(stream, api, streams // CLIENTS) for _ in range(CLIENTS)]:
            each.result()


@pytest.mark.parametrize("in_redis", [True, False], ids=["redis", "memory"])
def test_plain_completions_leave_no_memory_and_no_keys_but_sums_of_usage(
    tmp_path: Path, redis_url: str, *, in_redis: bool
) -> None:
    file = tmp_path / "redis"
    file.write_text(redis_url)
    with api_process(tmp_path, config(file if in_redis else None)) as api, Redis.from_url(redis_url) as server:
        stream_many(api, STREAMS // 10)
        before = api.program.resident_bytes
        stream_many(api, STREAMS)
        assert api.program.resident_bytes - before < MAX_GROWTH_BYTES
        kept = [key for key in server.keys("*") if not key.endswith(b":pods")]
        assert [key for key in kept if b"}:usage" not in key] == []
        assert len(kept) <= MAX_SUMS


def test_an_id_that_nobody_stored_leads_nowhere_and_one_that_is_stored_does(tmp_path: Path, redis_url: str) -> None:
    file = tmp_path / "redis"
    file.write_text(redis_url)
    with api_process(tmp_path, config(file)) as api, Redis.from_url(redis_url) as server:
        completion = fetch(f"{api.url}/v1/chat/completions", BODY | {"stream": False}).json["id"]
        run = completion.removeprefix("chatcmpl-")
        assert fetch(f"{api.url}/v1/responses/resp_{run}").status == 404
        fetch(f"{api.url}/v1/responses", {"model": "count", "input": "Hi", "store": False})
        assert not server.keys("*:events")
        stored = fetch(f"{api.url}/v1/responses", {"model": "count", "input": "Hi"}).json["id"]
        assert fetch(f"{api.url}/v1/responses/{stored}").json["status"] == "completed"
        assert len(server.keys("*:events")) == 1


@pytest.mark.feature(21)
async def test_a_completion_leaves_nothing_behind() -> None:
    """Nobody can ask for its events again: a completion takes not one block of memory, and no log knows it."""
    request = ChatRequest("m", (Message("user", "hi"),))
    log = memory_log(ttl_seconds=3600)
    provider = FakeProvider(text("some "), text("words "), text("of an answer"), [STOP])
    chat = make_chat(provider, log=log)
    before, last = 0, ""
    for number in range(COMPLETIONS):
        run = await chat.completions.start(CALLER, request)
        last = run.id
        async with aclosing(run.read()) as batches:
            async for batch in batches:
                assert batch.events
        provider.asked.clear()
        if number == 100:
            gc.collect()
            before = sys.getallocatedblocks()
    gc.collect()
    assert sys.getallocatedblocks() - before < COMPLETIONS
    assert await log.state(TENANT, last) == "unknown"


OPEN = 60
LARGE = 500_000
"""Bytes of a request."""


def test_an_open_stream_keeps_what_was_asked_once(tmp_path: Path) -> None:
    """The text, for the estimate of its tokens; the body that was sent is forgotten once an upstream has answered."""
    given = scripted("count")
    model = given.models[0].model_copy(update={"model": "count-1000@50"})
    body = BODY | {"messages": [{"role": "user", "content": "x" * LARGE}]}
    with api_process(tmp_path, given.model_copy(update={"models": (model,)})) as api, ExitStack() as stack:
        stream(api, 1, messages=body["messages"], max_tokens=1)
        before = api.program.resident_bytes
        for _ in range(OPEN):
            connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
            stack.enter_context(closing(connection))
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            assert connection.getresponse().readline()
        assert api.program.resident_bytes - before < 1.6 * OPEN * LARGE
