"""`POST /v1/chat/completions` and the list of models, request by request."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import cast

import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.extensions import ABORT, WRITE
from chatfleet_api.web.stream import SEND_SECONDS
from harness.clients.asgi import JSON, Exchange, ask, asking, get, post
from harness.pods.api_pod import HEARTBEAT_SECONDS, Pod
from harness.pods.runs import STOP, FakeProvider, OneModel, text

pytestmark = pytest.mark.looptime

PATH = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hi"}]
WHOLE = {"model": "m", "messages": HI}
STREAM = WHOLE | {"stream": True}


def exported(pod: Pod) -> str:
    return pod.meter.exposition().decode()


async def test_a_whole_answer_comes_as_json() -> None:
    answer = await ask(Pod(FakeProvider(text("Hel", "lo"), [STOP])).app, post(PATH, WHOLE))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.feature(18)
async def test_a_stream_comes_as_events_until_done() -> None:
    answer = await ask(Pod(FakeProvider(text("Hel", "lo"), [STOP])).app, post(PATH, STREAM))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.complete


async def test_each_read_of_the_upstream_is_one_send() -> None:
    answer = await ask(Pod(FakeProvider(text("a", "b"), 1.0, text("c"), 1.0, [STOP])).app, post(PATH, STREAM))
    pieces = [message["body"].count(b"data: ") for message in answer.sent[1:]]
    assert pieces == [3, 1, 2]  # start and two tokens; a token; the end and [DONE]


async def test_tokens_are_sent_as_they_come() -> None:
    asked = post(PATH, STREAM)
    async with asking(Pod(FakeProvider(text("early"), 60.0, text("late"), [STOP])).app, asked):
        await asked.until(b"early")
        assert asyncio.get_running_loop().time() < 1


@pytest.mark.parametrize("body", [WHOLE, STREAM])
async def test_the_end_of_an_answer_is_no_client_that_leaves(
    body: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(FakeProvider(text("Hel", "lo"), [STOP]))
    with caplog.at_level(logging.WARNING):
        await ask(pod.app, post(PATH, body))
        await asyncio.sleep(1)
    assert not caplog.records
    assert "client_disconnected" not in exported(pod)


async def test_between_head_and_end_the_server_writes_at_once_what_the_client_takes() -> None:
    asked = post(PATH, STREAM)
    at_once: list[bytes] = []

    def write(frames: bytes) -> bool:
        if b'"b"' in frames:
            return False
        at_once.append(frames)
        return True

    asked.scope["extensions"] = {WRITE: {"call": write}}
    await ask(Pod(FakeProvider(text("a"), 1.0, text("b"), 1.0, text("c"), 1.0, [STOP])).app, asked)
    assert [b'"a"' in asked.sent[1]["body"], b'"b"' in asked.sent[2]["body"], b'"c"' in at_once[0]] == [True] * 3
    assert asked.sent[3]["body"].endswith(b"data: [DONE]\n\n")
    assert len(at_once) == 1


@pytest.mark.parametrize("body", [WHOLE, STREAM])
@pytest.mark.parametrize("code", [Code.UPSTREAM_RATE_LIMITED, Code.UPSTREAM_TIMEOUT, Code.CONTEXT_TOO_LONG])
async def test_a_failure_before_the_first_token_is_an_http_status(body: dict[str, object], code: Code) -> None:
    error = ChatError(code, retry_after=7)
    answer = await ask(Pod(FakeProvider(2.0, error)).app, post(PATH, body))
    assert answer.status == error.facts.status
    assert answer.headers.get("retry-after") == ("7" if error.facts.retryable else None)
    assert answer.json()["error"]["message"] == error.message


async def test_a_failure_after_a_token_is_an_event_and_never_done() -> None:
    pod = Pod(FakeProvider(text("Hel"), ChatError(Code.UPSTREAM_TRUNCATED)))
    answer = await ask(pod.app, post(PATH, STREAM))
    assert answer.status == 200
    assert b'"code":"upstream_truncated"' in answer.body
    assert b"[DONE]" not in answer.body
    assert answer.complete
    assert 'chatfleet_streams_ended_total{dialect="openai",reason="upstream_truncated"} 1.0' in exported(pod)


async def test_a_stream_that_failed_before_its_first_token_is_counted_by_its_code() -> None:
    pod = Pod(FakeProvider(ChatError(Code.UPSTREAM_TIMEOUT)))
    await ask(pod.app, post(PATH, STREAM))
    assert 'chatfleet_streams_ended_total{dialect="openai",reason="upstream_timeout"} 1.0' in exported(pod)


async def test_a_cut_answer_is_never_whole_without_streaming_either() -> None:
    answer = await ask(Pod(FakeProvider(text("Hel"), ChatError(Code.UPSTREAM_TRUNCATED))).app, post(PATH, WHOLE))
    assert answer.status == 502


async def test_silence_is_filled_with_comments_and_nothing_is_lost_or_repeated() -> None:
    silence = 2.5 * HEARTBEAT_SECONDS
    answer = await ask(Pod(FakeProvider(text("a"), silence, text("b"), silence, [STOP])).app, post(PATH, STREAM))
    assert answer.body.count(b": keep-alive\n") == 4
    assert answer.body.count(b'"content":"a"') == 1
    assert answer.body.count(b'"content":"b"') == 1
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_live_field_of_streaming_applies_to_the_next_use_within_an_open_stream() -> None:
    pod = Pod(FakeProvider(text("a"), 100.0, [STOP]))
    asked = post(PATH, STREAM)
    async with asking(pod.app, asked) as answering:
        await asked.until(b'"content":"a"')
        pod.change("streaming", heartbeat_seconds=40)
        await answering
    assert asked.body.count(b": keep-alive\n") == 2


@pytest.mark.feature(19)
async def test_tokens_of_a_stream_keep_their_pace_and_a_whole_answer_is_not_delayed() -> None:
    pod = Pod(FakeProvider(text("a", "b", "c"), [STOP]))
    pod.change("streaming", token_delay_milliseconds=500)
    loop = asyncio.get_running_loop()
    began, asked = loop.time(), post(PATH, STREAM)
    async with asking(pod.app, asked) as answering:
        await asked.until(b'"content":"a"')
        assert b'"content":"b"' not in asked.body
        await answering
    assert loop.time() - began == pytest.approx(1.0, abs=0.1)

    began = loop.time()
    assert (await ask(pod.app, post(PATH, WHOLE))).status == 200
    assert loop.time() - began == pytest.approx(0.0, abs=0.1)


async def test_a_client_that_waits_long_for_the_first_token_gets_its_200_with_the_first_comment() -> None:
    asked = post(PATH, STREAM)
    pod = Pod(FakeProvider(HEARTBEAT_SECONDS + 1.0, ChatError(Code.UPSTREAM_TIMEOUT)))
    async with asking(pod.app, asked) as answering:
        await asyncio.sleep(HEARTBEAT_SECONDS - 1)
        assert not asked.sent
        await answering
    assert asked.status == 200
    assert asked.body.index(b": keep-alive") < asked.body.index(b'"code":"upstream_timeout"')


@pytest.mark.parametrize("body", [WHOLE, STREAM])
@pytest.mark.parametrize("said", [[], [text("Hel")]])
async def test_a_client_that_leaves_ends_the_run_and_its_upstream_at_once(
    body: dict[str, object], said: list[object]
) -> None:
    script = FakeProvider(*said, 60.0, [STOP])  # type: ignore[arg-type]
    pod, asked = Pod(script), post(PATH, body)
    async with asking(pod.app, asked) as answering:
        await asyncio.sleep(1)
        assert script.open_streams == 1
        asked.left.set()
        await answering
        await asyncio.sleep(0.01)
    assert script.open_streams == 0
    assert pod.pool.admission.active == 0
    assert asyncio.get_running_loop().time() < 1.1


async def test_a_stream_whose_client_left_is_counted_as_such() -> None:
    pod, asked = Pod(FakeProvider(60.0)), post(PATH, STREAM)
    async with asking(pod.app, asked) as answering:
        await asyncio.sleep(1)
        asked.left.set()
        await answering
    assert 'chatfleet_streams_ended_total{dialect="openai",reason="client_disconnected"} 1.0' in exported(pod)


async def test_a_client_that_reads_no_more_is_cut_off_and_holds_nothing() -> None:
    script = FakeProvider(text("a"), 1.0, text("b"), 600.0, [STOP])
    pod, asked = Pod(script), post(PATH, STREAM)
    aborted = asyncio.Event()
    asked.scope["extensions"] = {ABORT: {"call": aborted.set}}
    async with asking(pod.app, asked) as answering:
        await asked.until(b'"content":"a"')
        asked.reading.clear()
        await answering
    await asyncio.sleep(0.01)
    assert aborted.is_set()
    assert script.open_streams == 0
    assert SEND_SECONDS <= asyncio.get_running_loop().time() <= 2 * SEND_SECONDS + 2


async def test_a_body_that_is_not_declared_as_json_is_refused() -> None:
    answer = await ask(
        Pod(FakeProvider()).app, Exchange("POST", PATH, body=b"{}", headers={"content-type": "text/plain"})
    )
    assert answer.status == 415


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [({"model": "x", "messages": HI}, 404, "model"), ({"model": "m", "messages": []}, 400, "messages")],
)
async def test_a_request_that_cannot_be_answered_costs_nothing(
    body: dict[str, object], status: int, param: str
) -> None:
    script = FakeProvider()
    answer = await ask(Pod(script).app, post(PATH, body))
    assert answer.status == status
    assert answer.json()["error"]["param"] == param
    assert not script.asked


async def test_models_are_those_of_the_catalogue() -> None:
    app = Pod(FakeProvider()).app
    model = {"id": "m", "object": "model", "created": 0, "owned_by": "chatfleet"}
    assert (await ask(app, get("/v1/models"))).json() == {"object": "list", "data": [model]}
    assert (await ask(app, get("/v1/models/m"))).json() == model
    assert (await ask(app, get("/v1/models/some/other"))).json()["error"]["code"] == "model_not_found"


async def test_a_model_that_shuts_down_has_the_day() -> None:
    pod = Pod(FakeProvider())
    cast("OneModel", pod.chat.catalogue()).ends = "2026-12-11"
    model = (await ask(pod.app, get("/v1/models/m"))).json()
    assert Model.model_validate(model).shutdown_date == "2026-12-11"
    assert (await ask(pod.app, get("/v1/models"))).json()["data"] == [model]
    info = (await ask(pod.app, get("/v1/models/m", **{"anthropic-version": "2026-10-21"}))).json()
    seen = ModelInfo.model_validate(info)
    assert (seen.lifecycle, seen.retires_at) == ("deprecated", datetime(2026, 12, 11, tzinfo=UTC))
    listed = await ask(pod.app, get("/v1/models", **{"anthropic-version": "2026-10-21"}))
    assert listed.json()["data"] == [info]


async def test_only_post_is_answered_and_the_others_are_told_so() -> None:
    answer = await ask(Pod(FakeProvider()).app, Exchange("GET", PATH, headers=JSON))
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json()["error"]["code"] == "method_not_supported"
