"""Routes that are answered before FastAPI are FastAPI's in all that a client can see."""

import logging
from http import HTTPStatus

import pytest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.middleware.hot_routes import HotRoutes
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

HOT = (
    ("POST", "/v1/chat/completions"),
    ("POST", "/api/v1/conversations/{conversation_id}/messages"),
    ("GET", "/api/v1/conversations/{conversation_id}/stream"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/responses/{response_id}"),
    ("POST", "/v1/responses/{response_id}/cancel"),
)


class Endpoint:
    """Sends the head of an answer, perhaps, and fails."""

    def __init__(self, error: Exception, *, begun: bool) -> None:
        self.error = error
        self.begun = begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's
        if self.begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise self.error


async def nobody(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's
    raise AssertionError(scope["path"])


def asked_for(path: str) -> Exchange:
    exchange = get(path)
    exchange.scope["state"] = {"request_id": "r-1"}
    return exchange


@pytest.mark.parametrize("error", [ChatError(Code.AT_CAPACITY), RuntimeError("password=hunter2")])
async def test_an_error_after_the_head_is_not_answered_a_second_time(error: Exception) -> None:
    refused: list[ChatError] = []
    app = HotRoutes(nobody, [Route("/hot", Endpoint(error, begun=True))], on_error=refused.append)
    exchange = asked_for("/hot")
    with pytest.raises(type(error)):
        await ask(app, exchange)
    assert len(exchange.sent) == 1
    assert not refused


async def test_what_nobody_expected_is_answered_and_raised_again() -> None:
    app = HotRoutes(nobody, [Route("/hot", Endpoint(RuntimeError("password=hunter2"), begun=False))], on_error=print)
    exchange = asked_for("/hot")
    with pytest.raises(RuntimeError):
        await ask(app, exchange)
    assert exchange.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "hunter2" not in str(exchange.sent)


async def test_they_are_documented(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        paths = (await ask(Pod(FakeProvider()).app, get("/openapi.json"))).json()["paths"]
    assert all(method.lower() in paths[path] for method, path in HOT)
    assert not caplog.records


@pytest.mark.parametrize(("method", "path"), HOT)
async def test_another_method_is_told_which_one_to_use(method: str, path: str) -> None:
    answer = await ask(Pod(FakeProvider()).app, Exchange("PATCH", path))
    assert answer.status == HTTPStatus.METHOD_NOT_ALLOWED
    assert method in answer.headers["allow"]


async def test_fastapi_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.FastAPI.__call__", nobody)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    answer = await ask(Pod(FakeProvider(text("a"), [STOP])).app, post("/v1/chat/completions", body))
    assert answer.status == HTTPStatus.OK
