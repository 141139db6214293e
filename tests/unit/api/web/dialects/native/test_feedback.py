"""Feedback of users on answers and conversations."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract.runtime import RuntimeKeys
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE = "/api/v1/conversations"
UNKNOWN = "00000000-0000-7000-8000-999999999999"


async def answered(pod: Pod, times: int = 1, **fields: Any) -> tuple[str, list[str]]:  # noqa: ANN401  # any JSON
    """Return the path of a conversation, and the ids of its messages."""
    path = f"{BASE}/{(await ask(pod.app, post(BASE, fields))).json()['id']}"
    for _ in range(times):
        await ask(pod.app, post(f"{path}/messages", {"content": "Hi"}))
    return path, [each["id"] for each in (await ask(pod.app, get(path))).json()["messages"]]


async def give(pod: Pod, path: str, body: object) -> Exchange:
    return await ask(pod.app, post(f"{path}/feedback", body))


def counted(pod: Pod) -> set[str]:
    lines = pod.meter.exposition().decode().splitlines()
    return {line.removeprefix("chatfleet_feedback_total") for line in lines if line.startswith("chatfleet_feedback")}


def pod() -> Pod:
    return Pod(FakeProvider(text("a"), [STOP]))


@pytest.mark.feature(13)
async def test_feedback_on_an_answer_is_returned_listed_and_counted_by_model() -> None:
    chat = pod()
    path, (_, answer) = await answered(chat, user_id="ann")
    given = (await give(chat, path, {"message_id": answer, "thumb": "up", "rating": 4, "comment": "good"})).json()
    opinion = {"thumb": "up", "rating": 4, "comment": "good"}
    assert given.items() >= {"message_id": answer, "user_id": "ann", **opinion}.items()
    overall = (await give(chat, path, {"user_id": "bob", "thumb": "down"})).json()
    assert (overall["message_id"], overall["user_id"]) == (None, "bob")
    assert (await ask(chat.app, get(f"{path}/feedback"))).json()["feedback"] == [given, overall]
    assert counted(chat) == {f'{{model="m",value="{value}"}} 1.0' for value in ("up", "4", "down")}


async def test_feedback_of_the_same_user_on_the_same_answer_takes_the_place_of_the_former() -> None:
    chat = pod()
    path, (_, first, _, second) = await answered(chat, 2)
    for body in ({"message_id": first, "rating": 5}, {"message_id": second, "rating": 4}, {"rating": 3}):
        assert (await give(chat, path, {"user_id": "ann", **body})).status == 200
    changed = (await give(chat, path, {"user_id": "ann", "message_id": first, "thumb": "down"})).json()
    assert (changed["rating"], changed["thumb"]) == (None, "down")
    listed = (await ask(chat.app, get(f"{path}/feedback"))).json()["feedback"]
    assert [(each["message_id"], each["rating"]) for each in listed] == [(first, None), (second, 4), (None, 3)]
    await ask(chat.app, Exchange("DELETE", path))
    assert (await ask(chat.app, get(f"{path}/feedback"))).status == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"message_id": UNKNOWN}, None),
        ({"thumb": "sideways"}, "thumb"),
        ({"rating": 0}, "rating"),
        ({"rating": 6}, "rating"),
        ({"rating": 4.5}, "rating"),
        ({"comment": ""}, "comment"),
        ({"comment": "x" * 4001}, "comment"),
        ({"thumb": "up", "message_id": "../x"}, "message_id"),
        ({"thumb": "up", "user_id": "x" * 257}, "user_id"),
        ({"thumb": "up", "score": 1}, "score"),
        ([], None),
    ],
)
async def test_feedback_that_cannot_be_is_refused_by_field_and_not_stored(body: object, param: str | None) -> None:
    chat = pod()
    path, _ = await answered(chat)
    answer = await give(chat, path, body)
    assert (answer.status, answer.json()["code"], answer.json().get("param")) == (400, "invalid_request", param)
    assert (await ask(chat.app, get(f"{path}/feedback"))).json()["feedback"] == []
    assert counted(chat) == set()


async def test_feedback_names_an_answer_of_this_conversation_and_is_json() -> None:
    chat = pod()
    path, (question, _) = await answered(chat)
    _, (_, elsewhere) = await answered(chat)
    for message in (question, elsewhere, UNKNOWN):
        refused = await give(chat, path, {"thumb": "up", "message_id": message})
        assert (refused.status, refused.json()["code"]) == (404, "not_found")
    assert (await give(chat, f"{BASE}/{UNKNOWN}", {"thumb": "up"})).json()["code"] == "conversation_not_found"
    plain = Exchange("POST", f"{path}/feedback", body=b"{}", headers={"content-type": "text/plain"})
    assert (await ask(chat.app, plain)).status == 415


async def test_feedback_is_that_of_the_user_of_the_credential(tmp_path: Path) -> None:
    chat, keys = pod(), {name: f"sk-chat-{name:-<40}" for name in ("ann", "bob")}
    for name, key in keys.items():
        (tmp_path / name).write_text(json.dumps({"key": key, "user": name}))
    chat.change("access", anonymous=False, api_keys=(RuntimeKeys(tenant="shop", folder=str(tmp_path)),))
    chat.refresh_keys()
    path = f"{BASE}/{(await ask(chat.app, post(BASE, {}, **{'x-api-key': keys['ann']}))).json()['id']}/feedback"
    own = await ask(chat.app, post(path, {"rating": 5}, **{"x-api-key": keys["ann"]}))
    assert own.json()["user_id"] == "ann"
    for strange in (post(path, {"rating": 5}, **{"x-api-key": keys["bob"]}), get(path, **{"x-api-key": keys["bob"]})):
        assert (await ask(chat.app, strange)).status == 404
