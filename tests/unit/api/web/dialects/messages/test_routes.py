"""`POST /v1/messages`, its count of tokens, and the models in Anthropic's shape, request by request."""

import asyncio
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import HEARTBEAT_SECONDS, Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

PATH = "/v1/messages"
VERSION = {"anthropic-version": "2026-10-21"}
PLAIN_TEXT = {"content-type": "text/plain"}
WHOLE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
STREAM = WHOLE | {"stream": True}


def posted(body: object, path: str = PATH, **headers: str) -> Exchange:
    return post(path, body, **VERSION | headers)


async def test_the_request_has_an_id_under_the_vendors_name_too() -> None:
    for path, body in ((PATH, WHOLE), (PATH, {}), (f"{PATH}/count_tokens", WHOLE)):
        answer = await ask(Pod(FakeProvider(text("Hi"), [STOP])).app, posted(body, path))
        assert answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_silence_is_filled_with_pings() -> None:
    silence = 2.5 * HEARTBEAT_SECONDS
    answer = await ask(Pod(FakeProvider(silence, text("a"), silence, [STOP])).app, posted(STREAM))
    frames = answer.body.decode().strip().split("\n\n")
    assert frames.count('event: ping\ndata: {"type":"ping"}') == 4
    assert frames[-1] == 'event: message_stop\ndata: {"type":"message_stop"}'
    assert all(frame.startswith("event: ") and "\ndata: " in frame for frame in frames)


@pytest.mark.parametrize("body", [WHOLE, STREAM])
async def test_a_failure_before_the_first_token_is_an_http_status(body: dict[str, object]) -> None:
    error = ChatError(Code.UPSTREAM_OVERLOADED, retry_after=7)
    answer = await ask(Pod(FakeProvider(2.0, error)).app, posted(body))
    assert (answer.status, answer.headers["retry-after"]) == (529, "7")
    assert answer.json()["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("body", [WHOLE, STREAM])
async def test_a_client_that_leaves_ends_the_run_and_its_upstream_at_once(body: dict[str, object]) -> None:
    script = FakeProvider(text("Hel"), 60.0, [STOP])
    pod, asked = Pod(script), posted(body)
    async with asking(pod.app, asked) as answering:
        await asyncio.sleep(1)
        assert script.open_streams == 1
        asked.left.set()
        await answering
        await asyncio.sleep(0.01)
    assert script.open_streams == 0


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"model": 5}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]"),
        ({"temperature": 0.5}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"input_schema": {"a": [[]] * 2}}, "x"]}, "tools[1]"),
    ],
)
async def test_a_field_that_is_wrong_is_refused_by_name(sent: dict[str, Any], param: str) -> None:
    script = FakeProvider()
    answer = await ask(Pod(script).app, posted(WHOLE | sent))
    error = answer.json()["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert error["details"] == {"error_code": "invalid_request", "param": param}
    assert f"'{param}'" in error["message"]
    assert not script.asked


@pytest.mark.parametrize(
    ("exchange", "status", "kind"),
    [
        (post(PATH, WHOLE), 400, "invalid_request_error"),
        (post(PATH, WHOLE, **{"anthropic-version": "2030-01-01"}), 400, "invalid_request_error"),
        (posted(WHOLE | {"model": "x"}), 404, "not_found_error"),
        (posted(WHOLE, f"{PATH}/batches"), 404, "not_found_error"),
        (Exchange("GET", PATH, headers=VERSION), 405, "invalid_request_error"),
        (
            Exchange("POST", PATH, body=b"{}", headers=VERSION | {"content-type": "text/plain"}),
            400,
            "invalid_request_error",
        ),
        (posted(WHOLE | {"model": "x"}, f"{PATH}/count_tokens"), 404, "not_found_error"),
    ],
)
async def test_errors_have_the_vendors_statuses_and_types(exchange: Exchange, status: int, kind: str) -> None:
    answer = await ask(Pod(FakeProvider()).app, exchange)
    body = answer.json()
    assert (answer.status, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["request_id"] == answer.headers["request-id"]


async def test_a_count_that_is_a_guess_is_marked() -> None:
    answer = await ask(Pod(FakeProvider()).app, posted(WHOLE, f"{PATH}/count_tokens"))
    assert answer.json() == {"input_tokens": 1, "estimated": True}


async def test_models_have_the_vendors_shape_for_its_clients() -> None:
    app = Pod(FakeProvider()).app
    listed = await ask(app, get("/v1/models", **VERSION))
    assert (listed.json()["first_id"], listed.json()["has_more"]) == ("m", False)
    assert listed.json()["data"] == [(await ask(app, get("/v1/models/m", **VERSION))).json()]
    missing = await ask(app, get("/v1/models/x", **VERSION))
    assert (missing.status, missing.json()["error"]["type"]) == (404, "not_found_error")
    assert missing.headers["request-id"]
    assert (await ask(app, get("/v1/models"))).json()["object"] == "list"
