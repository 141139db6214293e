"""Titles that a model makes: once, after the first complete answer, never in the place of a user's."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest

from chatfleet_api.chat.titles import MAX_EXCERPT, MAX_TITLE, is_first_answer, title_of, title_request
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import Opening
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_contract.spec.conversations import Titles
from chatfleet_contract.spec.limits import Limit
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, OneModel, text

pytestmark = pytest.mark.looptime

BASE: Final = "/api/v1/conversations"
ANSWER: Final = (text("Hello"), [STOP])
NOW: Final = "2026-01-01T00:00:00.000+00:00"


class ByModel:
    """A provider whose models answer differently: titles, and all else."""

    def __init__(self, title: Sequence[Any], answer: Sequence[Any] = ANSWER) -> None:
        self.titles, self.answers = FakeProvider(*title), FakeProvider(*answer)

    def open(self, request: ChatRequest) -> Opening:
        return (self.titles if request.model == "titles" else self.answers).open(request)


def titled_pod(provider: ByModel) -> Pod:
    pod = Pod(provider)
    catalogue = pod.chat.catalogue()
    assert isinstance(catalogue, OneModel)
    catalogue.names = ("m", "titles")
    pod.change("conversations", titles=Titles(model="titles"))
    return pod


async def begin(pod: Pod, **fields: Any) -> str:  # noqa: ANN401  # any JSON
    return f"{BASE}/{(await ask(pod.app, post(BASE, fields))).json()['id']}"


async def send(pod: Pod, path: str) -> Exchange:
    answer = await ask(pod.app, post(f"{path}/messages", {"content": "Hi"}))
    await pod.pool.idle(60)
    return answer


async def title(pod: Pod, path: str) -> str | None:
    found: str | None = (await ask(pod.app, get(path))).json()["title"]
    return found


async def test_a_conversation_gets_one_title_after_its_first_answer() -> None:
    provider = ByModel([text('"A gre', 'eting."'), [STOP]])
    pod = titled_pod(provider)
    path = await begin(pod)
    assert (await send(pod, path)).status == 200
    assert await title(pod, path) == "A greeting"
    await send(pod, path)
    assert [request.messages[1].content for request in provider.titles.asked] == ["user:\nHi\n\nassistant:\nHello"]


async def test_an_answer_ends_before_its_title_begins() -> None:
    provider = ByModel([50.0, text("Late"), [STOP]])
    pod = titled_pod(provider)
    path = await begin(pod)
    await ask(pod.app, post(f"{path}/messages", {"content": "Hi", "stream": True}))
    assert asyncio.get_running_loop().time() < 1
    assert await title(pod, path) is None
    assert (await ask(pod.app, post(f"{path}/messages", {"content": "more"}))).status == 200
    await pod.pool.idle(60)
    assert await title(pod, path) == "Late"


async def test_a_title_that_a_user_sets_meanwhile_stays() -> None:
    pod = titled_pod(ByModel([5.0, text("Made"), [STOP]]))
    path = await begin(pod)
    await ask(pod.app, post(f"{path}/messages", {"content": "Hi"}))
    patched = Exchange("PATCH", path, body=b'{"title": "Mine"}', headers={"content-type": "application/json"})
    assert (await ask(pod.app, patched)).status == 200
    before = (await ask(pod.app, get(path))).json()
    await pod.pool.idle(60)
    assert (await ask(pod.app, get(path))).json() == before
    assert before["title"] == "Mine"


@pytest.mark.parametrize("change", ["titled", "off", "failed", "thread", "deleted model"])
async def test_there_are_no_other_titles(change: str) -> None:
    answer = (ChatError(Code.UPSTREAM_OVERLOADED),) if change == "failed" else ANSWER
    provider = ByModel([text("Made"), [STOP]], answer)
    pod = titled_pod(provider)
    if change == "off":
        pod.change("conversations", titles=None)
    if change == "deleted model":
        pod.change("conversations", titles=Titles(model="gone"))
    if change == "thread":
        assert (await ask(pod.app, post("/v1/responses", {"model": "m", "input": "Hi"}))).status == 200
        await pod.pool.idle(60)
    else:
        await send(pod, await begin(pod, **({"title": "Mine"} if change == "titled" else {})))
    assert provider.titles.asked == []


@pytest.mark.parametrize(
    "script",
    [[ChatError(Code.UPSTREAM_ERROR)], [text("Half"), ChatError(Code.UPSTREAM_TRUNCATED)], [text('""'), [STOP]]],
)
async def test_a_title_that_fails_changes_nothing(script: Sequence[Any]) -> None:
    pod = titled_pod(ByModel(script))
    path = await begin(pod)
    answer = await send(pod, path)
    assert answer.json()["message"]["content"] == "Hello"
    assert await title(pod, path) is None


async def test_a_conversation_may_be_deleted_while_its_title_is_made() -> None:
    pod = titled_pod(ByModel([5.0, text("Made"), [STOP]]))
    path = await begin(pod)
    await ask(pod.app, post(f"{path}/messages", {"content": "Hi"}))
    assert (await ask(pod.app, Exchange("DELETE", path))).status == 204
    await pod.pool.idle(60)
    assert (await ask(pod.app, get(path))).status == 404


@pytest.mark.parametrize("state", ["draining", "full"])
async def test_a_pod_that_drains_or_is_full_begins_no_title(state: str) -> None:
    provider = ByModel([text("Made"), [STOP]], [text("Hel"), 5.0, text("lo"), [STOP]])
    pod = titled_pod(provider)
    path = await begin(pod)
    sent = post(f"{path}/messages", {"content": "Hi", "stream": True})
    async with asking(pod.app, sent) as answering:
        await sent.until(b"event: token")
        if state == "full":
            pod.change("streaming", max_streams_per_pod=0)
        else:
            pod.pool.admission.begin_draining()
        await answering
    await pod.pool.idle(60)
    assert b"event: complete" in sent.body
    assert provider.titles.asked == []


async def test_a_title_counts_in_the_usage_of_its_conversation() -> None:
    pod = titled_pod(ByModel([text("Made"), [STOP]]))
    path = await begin(pod)
    await send(pod, path)
    used = (await ask(pod.app, get(f"/api/v1/usage?conversation_id={path.rpartition('/')[2]}"))).json()["total"]
    assert (used["requests"], used["input_tokens"]) == (2, 6)


async def test_a_title_needs_room_in_the_limits() -> None:
    provider = ByModel([text("Made"), [STOP]])
    pod = titled_pod(provider)
    pod.change("limits", per_tenant=Limit(requests_per_minute=1))
    path = await begin(pod)
    assert (await send(pod, path)).status == 200
    assert provider.titles.asked == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Refund of an invoice", "Refund of an invoice"),
        ('"Refund"\nMore', "Refund"),
        ("\n\n# **Refund**.\n", "Refund"),
        ("  a \t b\u200b\x00c", "a b c"),
        ("„Größe“", "Größe"),
        ("x" * 100, "x" * MAX_TITLE),
        ("", ""),
        ('...\n""', ""),
    ],
)
def test_a_title_is_one_short_line_without_marks(written: str, shown: str) -> None:
    assert title_of(written) == shown


def message(role: Any, content: str, run: str | None = None, **changed: Any) -> StoredMessage:  # noqa: ANN401
    return StoredMessage("m", role, content, NOW, run=run, **changed)


def test_the_first_answer_is_the_one_complete_one() -> None:
    said, failed = message("user", "Hi"), message("assistant", "", "r0", status="failed")
    answer, brought = message("assistant", "Hello", "r1"), message("assistant", "brought by a client")
    assert is_first_answer([said, failed, brought, said, answer], "r1")
    assert not is_first_answer([said, answer, said, message("assistant", "Hello", "r2")], "r2")
    assert not is_first_answer([said, answer], "r2")


def test_the_model_gets_a_bounded_part_of_the_conversation() -> None:
    request = title_request("titles", [message("user", "q" * 9999), message("assistant", "a" * 9999, "r")])
    quoted = request.messages[1].content
    assert quoted == f"user:\n{'q' * MAX_EXCERPT}\n\nassistant:\n{'a' * MAX_EXCERPT}"
