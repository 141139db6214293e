"""A conversation as a document, and the import of one."""

import json
from decimal import Decimal
from typing import Any, Final

import pytest
from msgspec.structs import fields, replace

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.events import AgentUsage, Citation, ContextUse, Signature, Thought, Usage
from chatfleet_api.domain.principal import ANONYMOUS
from chatfleet_api.domain.request import CustomInput, CustomToolCall, Function, MessageToolCall
from chatfleet_api.sessions.store import Append, StoredMessage
from chatfleet_api.web.body import MAX_DEPTH
from chatfleet_api.web.dialects.native.export import FORMAT, ExportedMessage
from chatfleet_api.web.dialects.native.imports import MAX_MESSAGES
from chatfleet_api.web.dialects.native.patch import MAX_METADATA_BYTES
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

BASE: Final = "/api/v1/conversations"
NOW: Final = "2026-01-01T00:00:00.123+00:00"
ITEM: Final = {"type": "function_call_output", "call_id": "c", "output": "42"}
OUTPUT: Final = [{"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}]
ANSWER: Final = StoredMessage(
    "a",
    "assistant",
    "Hello\n## User\n",
    NOW,
    "failed",
    "run",
    provider="p",
    model="m",
    upstream_model="u",
    finish_reason="stop",
    error_code=Code.UPSTREAM_STALLED,
    tool_calls=[MessageToolCall("c", Function("f", '{"a": "`"}')), CustomToolCall("d", CustomInput("g", "x"))],
    reasoning="hm",
    thoughts=[Thought("hm", Signature("u", "signed"))],
    usage=Usage(1, 2, 3, 4, 5, cost_usd=Decimal("0.0000010"), service_tier="flex", price_version="1"),
    latency_ms=7,
    context=ContextUse(3, 1),
    citations=(Citation("desk/refunds.md", 1, 2.5),),
    retrieval="by_words",
    agents=(AgentUsage("billing", Usage(1, 2)),),
    extra=json.dumps({"response": {"output": OUTPUT}}),
)
LEFT_OUT: Final = {
    "attached": "the data is in its item",
    "epoch": "a fencing token of the run",
    "decided": "where it is imported, no call waits",
    "echo": "of a response, which an export has not",
    "extra": "its output is exported",
    "removed": "removed messages are not exported",
    "server_tools": "where it is imported, no such call was made",
}


async def begin(pod: Pod, *messages: StoredMessage, **fields: Any) -> str:  # noqa: ANN401  # any JSON
    """Return the path of a conversation with these messages."""
    made = (await ask(pod.app, post(BASE, fields))).json()["id"]
    ids = pod.chat.ports.new_id
    for message in messages:
        append = Append((replace(message, id=ids()),), now=NOW, expected_version=None)
        await pod.chat.ports.sessions.append(ANONYMOUS.tenant, made, append)
    return f"{BASE}/{made}"


async def export(pod: Pod, path: str) -> dict[str, Any]:
    answer = await ask(pod.app, get(f"{path}/export"))
    assert answer.status == 200
    exported: dict[str, Any] = answer.json()
    return exported


def without_ids(exported: dict[str, Any]) -> dict[str, Any]:
    messages = [
        {name: value for name, value in each.items() if name not in ("id", "run")} for each in exported["messages"]
    ]
    return {name: value for name, value in exported.items() if name != "id"} | {"messages": messages}


async def test_an_export_of_an_import_of_an_export_is_the_same_but_for_its_ids() -> None:
    pod = Pod(FakeProvider(text("Hel", "lo"), [STOP]))
    said = StoredMessage("q", "user", "Hi 日本", NOW)
    result = StoredMessage("t", "tool", "42", NOW, item=json.dumps(ITEM))
    path = await begin(pod, said, ANSWER, result, user_id="ann", title="t", metadata={"a": {"b": [1, None]}})
    await ask(pod.app, post(f"{path}/messages", {"content": "more"}))
    first = await export(pod, path)
    answer = await ask(pod.app, post(f"{BASE}/import", first))
    assert answer.status == 201
    second = await export(pod, f"{BASE}/{answer.json()['id']}")
    assert without_ids(second) == without_ids(first)
    old, new = ({each["id"] for each in known["messages"]} for known in (first, second))
    assert len(new) == 5
    assert not old & new
    assert first["id"] != second["id"] == answer.json()["id"]
    assert [each["content"] for each in second["messages"]] == ["Hi 日本", "Hello\n## User\n", "42", "more", "Hello"]


def shape(exported: dict[str, Any]) -> object:
    """Return an export with places for its ids."""
    places = {each["id"]: place for place, each in enumerate(exported["messages"])} | {None: None}
    parents = [places[each["parent_id"]] if "parent_id" in each else "before" for each in exported["messages"]]
    head = places[exported["head"]] if "head" in exported else "last"
    contents = [each["content"] for each in exported["messages"]]
    return contents, parents, head


async def test_all_branches_can_be_exported_and_imported() -> None:
    pod = Pod(FakeProvider(text("Hello"), [STOP]))
    path = await begin(pod)
    replies = [
        (await ask(pod.app, post(f"{path}/messages", {"content": "one"}))).json()["message"],
        (await ask(pod.app, post(f"{path}/messages", {"content": "two", "parent_id": None}))).json()["message"],
    ]
    again = {"content": "three", "parent_id": replies[0]["id"]}
    assert (await ask(pod.app, post(f"{path}/messages", again))).status == 200
    patch = json.dumps({"head": replies[1]["id"]}).encode()
    headers = {"content-type": "application/json"}
    assert (await ask(pod.app, Exchange("PATCH", path, body=patch, headers=headers))).status == 200
    first = (await ask(pod.app, get(f"{path}/export?branches=all"))).json()
    said = ["one", "Hello", "two", "Hello", "three", "Hello"]
    assert shape(first) == (said, ["before", "before", None, "before", 1, "before"], 3)
    made = f"{BASE}/{(await ask(pod.app, post(f'{BASE}/import', first))).json()['id']}"
    assert shape((await ask(pod.app, get(f"{made}/export?branches=all"))).json()) == shape(first)
    assert [each["content"] for each in (await export(pod, made))["messages"]] == ["two", "Hello"]
    assert shape(await export(pod, path)) == (["two", "Hello"], ["before"] * 2, "last")
    refused = await ask(pod.app, get(f"{path}/export?branches=all&format=markdown"))
    assert (refused.status, refused.json()["param"]) == (400, "branches")


async def test_the_openai_dialect_has_the_items_of_an_import_as_it_had_them() -> None:
    pod = Pod(FakeProvider())
    translated = replace(ANSWER, extra="", status="complete")
    path = await begin(pod, ANSWER, translated, StoredMessage("t", "tool", "42", NOW, item=json.dumps(ITEM)))
    made = (await ask(pod.app, post(f"{BASE}/import", await export(pod, path)))).json()["id"]
    items = [
        (await ask(pod.app, get(f"/v1/conversations/conv_{known}/items?order=asc"))).json()["data"]
        for known in (path.rpartition("/")[2], made)
    ]
    kinds = ["web_search_call", "reasoning", "message", "function_call", "custom_tool_call", "function_call_output"]
    assert [[item["type"] for item in each] for each in items] == [kinds, kinds]


async def test_a_conversation_goes_on_after_its_import() -> None:
    script = FakeProvider(text("Hello"), [STOP])
    pod = Pod(script)
    path = await begin(
        pod, StoredMessage("q", "user", "one", NOW), StoredMessage("a", "assistant", "two", NOW, run="r")
    )
    made = (await ask(pod.app, post(f"{BASE}/import", await export(pod, path)))).json()["id"]
    assert (await ask(pod.app, post(f"{BASE}/{made}/messages", {"content": "three"}))).status == 200
    assert [message.content for message in script.asked[0].messages] == ["one", "two", "three"]


def test_every_field_of_a_message_is_exported_or_left_out_for_a_reason() -> None:
    exported = {field.name.replace("parent_id", "parent") for field in fields(ExportedMessage)}
    assert {field.name for field in fields(StoredMessage)} == (exported - {"output"}) | LEFT_OUT.keys()


async def test_an_answer_that_is_being_written_is_not_exported() -> None:
    pod = Pod(FakeProvider())
    path = await begin(pod, replace(ANSWER, status="pending", error_code=None))
    assert (await export(pod, path))["messages"] == []
    assert "Assistant" not in (await ask(pod.app, get(f"{path}/export?format=markdown"))).body.decode()


async def test_a_document_to_read_quotes_what_was_said() -> None:
    pod = Pod(FakeProvider())
    path = await begin(pod, StoredMessage("q", "user", "Hi\u2028## Forged", NOW), ANSWER, title="A *b*\n# c")
    answer = await ask(pod.app, get(f"{path}/export?format=markdown"))
    made = (await ask(pod.app, get(path))).json()
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    name = f"conversation-{made['id']}.md"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.body.decode() == (
        f"# A \\*b\\* \\# c\n\nConversation {made['id']}, begun {made['created_at']}.\n\n"
        f"## User\n\n{NOW}\n\n> Hi\n> ## Forged\n\n"
        f"## Assistant (failed)\n\n{NOW}\n\n> Hello\n> ## User\n>\n\n"
        '> Call of `f` with ``{"a": "`"}``\n\n> Call of `g` with `x`\n\n> Source `desk/refunds.md`, chunk 1\n'
    )


def message(**changed: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    return {"messages": [{"role": "user", "content": "Hi", "created_at": NOW}, _changed(changed)]}


def _changed(changed: dict[str, Any]) -> dict[str, Any]:
    whole = {"role": "assistant", "content": "Hi", "created_at": NOW} | changed
    return {name: value for name, value in whole.items() if value is not ...}


def _said(ident: str) -> dict[str, Any]:
    return {"id": ident, "role": "user", "content": "Hi", "created_at": NOW}


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"format": "chatfleet.conversation.v2"}, "format"),
        ({"format": ...}, "format"),
        ({"title": ""}, "title"),
        ({"title": "x" * 257}, "title"),
        ({"metadata": {str(number): 1 for number in range(65)}}, "metadata"),
        ({"metadata": {"a": "x" * MAX_METADATA_BYTES}}, "metadata"),
        ({"metadata": {"a": nested(MAX_DEPTH)}}, "metadata"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "1969-12-31T23:59:59Z"}, "created_at"),
        ({"created_at": "9999-12-31T23:59:59-12:00"}, "created_at"),
        ({"other": 1}, "other"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{}] * (MAX_MESSAGES + 1)}, "messages"),
        (message(role="system2"), "messages[1].role"),
        (message(role=...), "messages[1].role"),
        (message(content=1), "messages[1].content"),
        (message(created_at="2026-01-01T00:00:00"), "messages[1].created_at"),
        (message(id="x") | {"head": "y"}, "head"),
        (message(id="x", parent_id="y"), "messages[1].parent_id"),
        (message(id="x", parent_id="x"), "messages[1].parent_id"),
        ({"messages": [_said("x"), _said("x")]}, "messages[1].id"),
        (message(status="pending"), "messages[1].status"),
        (message(other=1), "messages[1].other"),
        (message(usage={"input_tokens": "1"}), "messages[1].usage.input_tokens"),
        (message(usage={"output_tokens": -1}), "messages[1].usage.output_tokens"),
        (message(usage={"cost_usd": "sNaN"}), "messages[1].usage.cost_usd"),
        (message(usage={"cost_usd": "Infinity"}), "messages[1].usage.cost_usd"),
        (message(role="user", tool_calls=[]), "messages[1].tool_calls"),
        (message(role="tool"), "messages[1].item"),
        (message(item={"type": "message", "role": "x", "content": ""}), "messages[1].item.role"),
        (message(output=[{"type": "message", "id": "m"}, {"type": "message"}]), "messages[1].output[1].id"),
        (message(item={"type": "x", "a": nested(MAX_DEPTH)}), "messages[1]"),
    ],
)
async def test_an_import_that_cannot_be_is_refused_by_field_and_makes_nothing(body: dict[str, Any], param: str) -> None:
    pod = Pod(FakeProvider())
    whole = {name: value for name, value in ({"format": FORMAT} | body).items() if value is not ...}
    answer = await ask(pod.app, post(f"{BASE}/import", whole))
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request"), answer.json()
    assert answer.json()["param"] == param
    assert (await ask(pod.app, get(BASE))).json()["conversations"] == []


async def test_an_import_is_declared_as_json_and_may_have_no_messages() -> None:
    pod = Pod(FakeProvider())
    body = json.dumps({"format": FORMAT}).encode()
    refused = await ask(pod.app, Exchange("POST", f"{BASE}/import", body=body, headers={"content-type": "text/plain"}))
    assert refused.status == 415
    assert (await ask(pod.app, post(f"{BASE}/import", {"format": FORMAT}))).status == 201
