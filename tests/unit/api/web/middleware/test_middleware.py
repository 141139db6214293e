"""What every request passes through, whatever it asks for."""

import asyncio
import logging

import pytest
from starlette.types import Message

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.middleware.body_limit import BODY_SECONDS, MAX_BODY_BYTES
from harness.clients.asgi import JSON, Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

CHAT = {"model": "m", "messages": [{"role": "user", "content": "confidential"}]}
ACCESS = "chatfleet_api.access"


@pytest.fixture
async def pod() -> Pod:
    return Pod(FakeProvider(text("Hello"), [STOP]))


@pytest.mark.feature(48)
async def test_every_answer_names_its_request_and_the_configuration_that_served_it(pod: Pod) -> None:
    for path in ("/", "/v1/models", "/nothing", "/ready"):
        answer = await ask(pod.app, get(path))
        assert answer.headers["x-request-id"]
        assert answer.headers["x-chatfleet-config"] == pod.configuration.digest


async def test_a_sane_id_of_the_callers_is_kept(pod: Pod) -> None:
    asked = Exchange("GET", "/", headers={"X-Request-Id": "trace-1.a_B"})
    assert (await ask(pod.app, asked)).headers["x-request-id"] == "trace-1.a_B"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\r\nb", "ü"])
async def test_any_other_id_is_replaced(pod: Pod, given: str) -> None:
    answer = await ask(pod.app, Exchange("GET", "/", headers={"X-Request-Id": given}))
    assert answer.headers["x-request-id"] != given


async def test_errors_carry_the_same_id_as_their_header(pod: Pod) -> None:
    answer = await ask(pod.app, get("/nothing"))
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/conversations"])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "counted"])
async def test_a_body_that_is_too_large_is_refused_before_it_is_read_to_its_end(
    pod: Pod, path: str, *, declared: bool
) -> None:
    size = 2 * MAX_BODY_BYTES
    headers = JSON | ({"content-length": str(size)} if declared else {})
    asked = Exchange("POST", path, body=b" " * size, headers=headers)
    parts, read = len(asked.parts), 0

    async def send(message: Message) -> None:
        nonlocal read
        if message["type"] == "http.response.start":
            read = parts - len(asked.parts)
        await asked.send(message)

    await pod.app(asked.scope, asked.receive, send)
    assert read == (0 if declared else parts // 2 + 1)
    assert (asked.status, asked.headers["connection"]) == (413, "close")
    assert "request_too_large" in asked.body.decode()
    assert not asked.parts  # the rest was read, or the response would be lost to a reset


@pytest.mark.looptime
async def test_the_rest_of_a_refused_body_is_waited_for_in_bounded_time() -> None:
    asked = Exchange("POST", "/v1/models", body=b" " * (2 * MAX_BODY_BYTES), headers=JSON)
    asked.parts.pop()
    answer = await ask(Pod(FakeProvider([STOP])).app, asked)
    assert answer.status == 413
    assert asyncio.get_running_loop().time() == pytest.approx(BODY_SECONDS)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/conversations"])
async def test_a_compressed_body_is_refused_with_the_remedy(pod: Pod, path: str) -> None:
    headers = {**JSON, "content-encoding": "gzip"}
    answer = await ask(pod.app, Exchange("POST", path, body=b"\x1f\x8b", headers=headers))
    assert answer.status == 415
    assert "without Content-Encoding" in answer.body.decode()


@pytest.mark.looptime
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/conversations"])
async def test_a_body_that_does_not_come_in_time_is_not_waited_for(path: str) -> None:
    asked = Exchange("POST", path, body=b"{" + b" " * 100_000 + b"}", headers=JSON)
    asked.parts.pop()
    answer = await ask(Pod(FakeProvider([STOP])).app, asked)
    assert asyncio.get_running_loop().time() == pytest.approx(BODY_SECONDS)
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert "request_timeout" in answer.body.decode()


async def test_half_a_body_asks_for_nothing(pod: Pod) -> None:
    asked = Exchange("POST", "/api/v1/conversations", body=b"{" + b" " * 100_000 + b"}", headers=JSON)
    asked.parts.pop()
    asked.left.set()
    await ask(pod.app, asked)
    assert not asked.sent
    assert (await ask(pod.app, get("/api/v1/conversations"))).json()["conversations"] == []


async def test_a_body_of_the_greatest_size_is_read_whole(pod: Pod) -> None:
    padded = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'.ljust(MAX_BODY_BYTES)
    assert (await ask(pod.app, Exchange("POST", "/v1/chat/completions", body=padded, headers=JSON))).status == 200


async def test_a_line_of_log_tells_of_each_request_and_nothing_of_its_content(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, ACCESS):
        answer = await ask(pod.app, post("/v1/chat/completions?key=confidential", CHAT))
    (line,) = caplog.records
    assert line.getMessage() == "POST /v1/chat/completions 200"
    assert line.__dict__["request_id"] == answer.headers["x-request-id"]
    assert line.__dict__["milliseconds"] >= 0
    assert "confidential" not in str(line.__dict__)


async def test_probes_are_logged_only_when_debugging(pod: Pod, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, ACCESS):
        await ask(pod.app, get("/live"))
    assert not caplog.records


async def test_a_path_cannot_forge_a_line_of_log(pod: Pod, caplog: pytest.LogCaptureFixture) -> None:
    asked = get("/x")
    asked.scope |= {"path": "/x\nforged", "raw_path": b"/x%0Aforged"}
    with caplog.at_level(logging.INFO, ACCESS):
        await ask(pod.app, asked)
    assert "\n" not in caplog.records[0].getMessage()


async def test_requests_are_counted_by_template_and_status(pod: Pod) -> None:
    await ask(pod.app, post("/v1/chat/completions", CHAT))
    await ask(pod.app, get("/v1/models/a"))
    await ask(pod.app, get("/api/v1/conversations/not-an-id"))
    await ask(pod.app, get("/any/thing"))
    lines = pod.meter.exposition().decode().splitlines()
    for route, status in (
        ("/v1/chat/completions", 200),
        ("/v1/models/{name:path}", 404),
        ("/api/v1/conversations/{conversation_id}", 404),
        ("unmatched", 404),
    ):
        assert f'chatfleet_requests_total{{route="{route}",status="{status}"}} 1.0' in lines


@pytest.mark.feature(24)
async def test_what_nobody_expected_is_logged_with_the_requests_id_and_shown_to_nobody(
    pod: Pod, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(type(pod.chat.completions), "start", broken)
    answer = await ask(pod.app, post("/v1/chat/completions", CHAT))
    assert answer.status == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "hunter2" not in str(answer.sent)
    failed = next(line for line in caplog.records if line.getMessage() == "Request failed")
    assert failed.__dict__["request_id"] == answer.headers["x-request-id"]
    assert failed.exc_info


async def test_refusals_that_protect_the_pod_are_counted() -> None:
    pod = Pod(FakeProvider(), capacity=0)
    answer = await ask(pod.app, post("/v1/chat/completions", CHAT))
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert 'chatfleet_requests_rejected_total{reason="at_capacity"} 1.0' in pod.meter.exposition().decode()


async def test_an_error_of_the_service_is_told_in_the_dialect_of_the_path() -> None:
    pod = Pod(FakeProvider(ChatError(Code.UPSTREAM_AUTHENTICATION, detail="key sk-1")))
    answer = await ask(pod.app, post("/v1/chat/completions", CHAT))
    assert answer.status == 502
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["code"] == "upstream_authentication"
    assert "sk-1" not in str(answer.sent)
