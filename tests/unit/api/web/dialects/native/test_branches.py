"""A message is edited, or answered again, and what was there before stays: each is a branch."""

from typing import Any

import pytest

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.request import ChatRequest
from harness.clients.asgi import JSON, Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import CALLER, STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE = "/api/v1/conversations"
UNKNOWN = "00000000-0000-7000-8000-999999999999"


class Chatting:
    """A client of one conversation, whose provider counts its answers."""

    def __init__(self) -> None:
        self.provider = FakeProvider()
        self.pod = Pod(self.provider)
        self.path = ""

    async def begin(self) -> "Chatting":
        self.path = f"{BASE}/{(await ask(self.pod.app, post(BASE, {}))).json()['id']}"
        return self

    async def post(self, rest: str, body: object, **headers: str) -> Exchange:
        self.provider.steps = (text(f"a{len(self.provider.asked) + 1}"), [STOP])
        return await ask(self.pod.app, post(self.path + rest, body, **headers))

    async def say(self, words: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
        answer = await self.post("/messages", {"content": words, **fields})
        assert answer.status == 200, answer.body
        message: dict[str, Any] = answer.json()["message"]
        return message

    async def again(self, message: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
        answer = await self.post(f"/messages/{message}/regenerate", fields)
        assert answer.status == 200, answer.body
        made: dict[str, Any] = answer.json()["message"]
        return made

    async def choose(self, head: str | None) -> Exchange:
        patched = Exchange("PATCH", self.path, body=f'{{"head":{_text(head)}}}'.encode(), headers=JSON)
        return await ask(self.pod.app, patched)

    async def shown(self, query: str = "") -> list[dict[str, Any]]:
        body = (await ask(self.pod.app, get(self.path + query))).json()
        listed = (await ask(self.pod.app, get(f"{self.path}/messages{query}"))).json()
        assert (listed["messages"], listed["head"]) == (body["messages"], body["head"])
        messages: list[dict[str, Any]] = body["messages"]
        return messages

    async def words(self, query: str = "") -> str:
        return " ".join(message["content"] for message in await self.shown(query))

    def asked(self) -> str:
        return _words(self.provider.asked[-1])


def _text(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


def _words(request: ChatRequest) -> str:
    return " ".join(str(message.content) for message in request.messages)


async def test_an_edited_message_begins_a_branch_and_the_other_stays() -> None:
    chat = await Chatting().begin()
    await chat.say("q1")
    await chat.say("q2")
    _, first, second, _ = await chat.shown()
    await chat.say("q2b", parent_id=second["parent_id"])
    assert (chat.asked(), await chat.words()) == ("q1 a1 q2b", "q1 a1 q2b a3")
    await chat.say("q1b", parent_id=None)
    assert (chat.asked(), await chat.words()) == ("q1b", "q1b a4")
    await chat.say("q2c")
    assert chat.asked() == "q1b a4 q2c"
    everything = await chat.shown("?branches=all")
    assert " ".join(each["content"] for each in everything) == "q1 a1 q2 a2 q2b a3 q1b a4 q2c a5"
    above = {each["id"]: each["parent_id"] for each in everything}
    assert [each["parent_id"] for each in everything if each["content"] in ("q1", "q1b")] == [None, None]
    assert [each["parent_id"] for each in everything if each["content"] in ("q2", "q2b")] == [first["id"]] * 2
    assert sum(parent is None for parent in above.values()) == 2


async def test_a_message_is_answered_again() -> None:
    chat = await Chatting().begin()
    first = await chat.say("q1")
    second = await chat.again(first["id"], temperature=0.5)
    assert (chat.asked(), chat.provider.asked[-1].temperature) == ("q1", 0.5)
    assert second["parent_id"] == first["parent_id"]
    assert await chat.words() == "q1 a2"
    await chat.say("q2")
    assert chat.asked() == "q1 a2 q2"
    third = await chat.again(str(first["parent_id"]))
    assert (third["content"], await chat.words()) == ("a4", "q1 a4")
    assert await chat.words("?branches=all") == "q1 a1 a2 q2 a3 a4"


async def test_the_end_of_the_current_path_is_chosen_until_the_next_message() -> None:
    chat = await Chatting().begin()
    first = await chat.say("q1")
    await chat.again(first["id"])
    assert (await chat.choose(first["id"])).status == 200
    assert await chat.words() == "q1 a1"
    await chat.say("q2")
    assert (chat.asked(), await chat.words()) == ("q1 a1 q2", "q1 a1 q2 a3")
    await chat.choose(first["id"])
    await chat.choose(None)
    assert await chat.words() == "q1 a1 q2 a3"


async def test_items_of_the_vendors_api_are_those_of_the_current_path() -> None:
    chat = await Chatting().begin()
    first = await chat.say("q1")
    await chat.again(first["id"])
    await chat.choose(first["id"])
    path = f"/v1/conversations/conv_{chat.path.removeprefix(BASE + '/')}"
    listed = (await ask(chat.pod.app, get(f"{path}/items?order=asc"))).json()["data"]
    assert [each["content"][0]["text"] for each in listed] == ["q1", "a1"]
    added = {"items": [{"role": "user", "content": "q2"}]}
    assert (await ask(chat.pod.app, post(f"{path}/items", added))).status == 200
    assert await chat.words() == "q1 a1 q2"


async def test_a_response_goes_on_after_the_branch_that_it_names() -> None:
    chat = await Chatting().begin()
    conversation = f"conv_{chat.path.removeprefix(BASE + '/')}"
    chat.provider.steps = (text("a1"), [STOP])
    made = {"model": "m", "input": "q1", "conversation": conversation}
    response = (await ask(chat.pod.app, post("/v1/responses", made))).json()
    (question, _) = await chat.shown()
    await chat.again(question["id"])
    assert await chat.words() == "q1 a2"
    following = {"model": "m", "input": "q2", "previous_response_id": response["id"]}
    assert (await ask(chat.pod.app, post("/v1/responses", following))).status == 200
    assert chat.asked() == "q1 a1 q2"
    assert (await ask(chat.pod.app, post("/v1/responses", made | {"input": "q3"}))).status == 200
    assert chat.asked() == "q1 a2 q3"


async def test_a_removed_message_leaves_the_branches_whole() -> None:
    chat = await Chatting().begin()
    first = await chat.say("q1")
    second = await chat.again(first["id"])
    await chat.say("q2")
    path = f"/v1/conversations/conv_{chat.path.removeprefix(BASE + '/')}/items"
    item = (await ask(chat.pod.app, get(f"{path}?order=asc"))).json()["data"][1]["id"]
    assert (await ask(chat.pod.app, Exchange("DELETE", f"{path}/{item}"))).status == 200
    assert await chat.words() == "q1 q2 a3"
    assert second["id"] not in [each["id"] for each in await chat.shown("?branches=all")]
    await chat.choose(first["id"])
    assert await chat.words() == "q1 a1"


async def test_a_repeated_request_makes_no_second_branch() -> None:
    chat = await Chatting().begin()
    first = await chat.say("q1")
    one, two = [
        (await chat.post(f"/messages/{first['id']}/regenerate", {}, **{"idempotency-key": "k"})).json()["message"]["id"]
        for _ in "12"
    ]
    assert one == two
    assert await chat.words("?branches=all") == "q1 a1 a2"
    other = await chat.post("/messages", {"content": "q2"}, **{"idempotency-key": "k"})
    assert other.json()["code"] == "idempotency_mismatch"


async def test_a_conversation_is_busy_on_all_branches() -> None:
    chat = await Chatting().begin()
    first = await chat.say("q1")
    chat.provider.steps = (60.0, [STOP])
    await chat.pod.chat.conversations.send(CALLER, chat.path.removeprefix(BASE + "/"), NewMessage("q2"))
    for rest, body in ((f"/messages/{first['id']}/regenerate", {}), ("/messages", {"content": "x", "parent_id": None})):
        busy = await ask(chat.pod.app, post(chat.path + rest, body))
        assert (busy.status, busy.json()["code"]) == (409, "conversation_busy")
    assert (await chat.choose(first["id"])).status == 200
    assert await chat.words() == "q1 a1"
    assert (await ask(chat.pod.app, post(f"{chat.path}/cancel", {}))).status == 202


@pytest.mark.parametrize(
    ("rest", "body", "status", "param"),
    [
        ("/messages", {"content": "x", "parent_id": UNKNOWN}, 400, "parent_id"),
        ("/messages", {"content": "x", "parent_id": 1}, 400, "parent_id"),
        (f"/messages/{UNKNOWN}/regenerate", {}, 404, None),
        ("/messages/other/regenerate", {"content": "x"}, 400, "content"),
    ],
)
async def test_what_names_no_message_is_refused(rest: str, body: object, status: int, param: str | None) -> None:
    chat = await Chatting().begin()
    await chat.say("q1")
    refused = await chat.post(rest, body)
    assert (refused.status, refused.json().get("param")) == (status, param)
    assert (await chat.choose(UNKNOWN)).json()["param"] == "head"
    assert await chat.words("?branches=all") == "q1 a1"


async def test_what_answers_no_question_cannot_be_answered_again() -> None:
    chat = await Chatting().begin()
    path = f"/v1/conversations/conv_{chat.path.removeprefix(BASE + '/')}/items"
    items = {"items": [{"role": "assistant", "content": "Welcome"}]}
    assert (await ask(chat.pod.app, post(path, items))).status == 200
    (welcome,) = await chat.shown()
    assert (await chat.post(f"/messages/{welcome['id']}/regenerate", {})).json()["code"] == "invalid_request"


async def test_an_export_has_the_current_path() -> None:
    chat = await Chatting().begin()
    first = await chat.say("q1")
    await chat.again(first["id"])
    await chat.choose(first["id"])
    exported = (await ask(chat.pod.app, get(f"{chat.path}/export"))).json()
    assert [each["content"] for each in exported["messages"]] == ["q1", "a1"]
    chat.path = f"{BASE}/{(await ask(chat.pod.app, post(BASE + '/import', exported))).json()['id']}"
    await chat.say("q2")
    assert chat.asked() == "q1 a1 q2"
