"""The caller: one value in the scope, for hot routes and FastAPI's alike."""

import pytest
from starlette.types import Receive, Scope, Send

from chatfleet_api.domain.principal import ANONYMOUS, Principal
from chatfleet_api.web.middleware.identity import Identity
from chatfleet_api.web.state import principal
from harness.clients.asgi import ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, TENANT, FakeProvider, text


async def test_an_anonymous_caller_is_of_the_default_tenant() -> None:
    seen: list[Principal] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's
        seen.append(principal(scope))

    exchange = get("/")
    exchange.scope["state"] = {}
    await Identity(app, authenticate=lambda *_: ANONYMOUS)(exchange.scope, exchange.receive, exchange.send)
    assert seen == [Principal("default")]


@pytest.mark.looptime
async def test_hot_routes_and_fastapis_pass_the_same_caller_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatfleet_api.identity.authentication.ANONYMOUS", Principal("other"))
    pod = Pod(FakeProvider(text("a"), [STOP]))
    created = await ask(pod.app, post("/api/v1/conversations", {}))
    path = f"/api/v1/conversations/{created.json()['id']}/messages"
    assert (await ask(pod.app, post(path, {"content": "Hi"}))).status == 200
    assert len((await pod.chat.sessions.list("other")).items) == 1
    assert (await pod.chat.sessions.list(TENANT)).items == ()
