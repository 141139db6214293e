"""The Conversations API by the vendor's own SDK, unmodified: the same record as that of our own dialect."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.conversations import Message
from openai.types.responses import ResponseInputItemParam

from harness.pods.api_process import ApiProcess, api_process, fetch, scripted

ITEMS: list[ResponseInputItemParam] = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": [{"type": "input_text", "text": "one"}]},
    {"type": "message", "role": "assistant", "content": "two", "phase": "commentary"},
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("api"), scripted("echo", "slow")) as running:
        yield running


@pytest.fixture
def client(api: ApiProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def native(api: ApiProcess, conversation: str) -> Any:  # noqa: ANN401  # JSON
    """Return the conversation as our own dialect shows it."""
    return fetch(f"{api.url}/api/v1/conversations/{conversation.removeprefix('conv_')}").json


def texts(client: openai.OpenAI, conversation: str) -> list[tuple[str, str]]:
    items = [item for item in client.conversations.items.list(conversation, order="asc") if isinstance(item, Message)]
    return [(item.role, str(item.to_dict()["content"][0]["text"])) for item in items]  # type: ignore[index]


def test_a_conversation_is_created_changed_and_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"a": "b"})
    assert (made.object, made.metadata, made.id[:5]) == ("conversation", {"a": "b"}, "conv_")
    assert client.conversations.retrieve(made.id) == made
    assert client.conversations.update(made.id, metadata={"c": "d"}).metadata == {"c": "d"}
    deleted = client.conversations.delete(made.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "conversation.deleted", True)
    for unknown in (made.id, "conv_1", "1"):
        with pytest.raises(openai.NotFoundError):
            client.conversations.retrieve(unknown)


def test_items_are_kept_as_they_came_and_listed_in_pages(client: openai.OpenAI) -> None:
    made = client.conversations.create(items=ITEMS)
    added = client.conversations.items.create(made.id, items=[{"role": "user", "content": "three"}])
    assert [item.type for item in added.data] == ["message"]
    expected = [("developer", "Be kind."), ("user", "one"), ("assistant", "two"), ("user", "three")]
    assert texts(client, made.id) == expected
    listed = client.conversations.items.list(made.id, limit=3)
    assert (listed.has_more, listed.last_id) == (True, listed.data[-1].id)
    assert listed.data[0].id == added.data[0].id
    assert len(list(client.conversations.items.list(made.id, limit=1))) == 4
    phase = client.conversations.items.retrieve(str(listed.data[1].id), conversation_id=made.id)
    assert phase.to_dict()["phase"] == "commentary"


def test_an_item_is_deleted_for_good(api: ApiProcess, client: openai.OpenAI) -> None:
    made = client.conversations.create(items=ITEMS)
    item = client.conversations.items.list(made.id).data[0]
    assert client.conversations.items.delete(str(item.id), conversation_id=made.id).id == made.id
    assert texts(client, made.id) == [("developer", "Be kind."), ("user", "one")]
    assert len(native(api, made.id)["messages"]) == 2
    for use in (client.conversations.items.retrieve, client.conversations.items.delete):
        with pytest.raises(openai.NotFoundError):
            use(str(item.id), conversation_id=made.id)


def test_a_response_takes_its_turn_and_both_views_show_one_history(api: ApiProcess, client: openai.OpenAI) -> None:
    """The scripted model counts the words that it gets."""
    made = client.conversations.create(items=[{"role": "user", "content": "one"}], metadata={"a": "b"})
    response = client.responses.create(model="echo", input="two", conversation=made.id)
    assert response.conversation is not None
    assert response.conversation.id == made.id
    assert response.usage is not None
    assert response.usage.input_tokens == 2
    path = f"{api.url}/api/v1/conversations/{made.id.removeprefix('conv_')}/messages"
    assert fetch(path, {"content": "three", "model": "echo"}).status == 200
    shown = native(api, made.id)
    assert shown["metadata"] == {"a": "b"}
    expected = [("user", "one"), ("user", "two"), ("assistant", "two"), ("user", "three"), ("assistant", "three")]
    assert [(message["role"], message["content"]) for message in shown["messages"]] == expected
    assert texts(client, made.id) == expected
    ids = [item.id for item in client.conversations.items.list(made.id, order="asc")]
    assert response.output[0].id == ids[2]
    again = client.responses.create(model="echo", input="four", conversation={"id": made.id})
    assert again.usage is not None
    assert again.usage.input_tokens == 6


def test_one_answer_at_a_time_is_written_in_a_conversation(client: openai.OpenAI) -> None:
    made = client.conversations.create()
    with client.responses.create(model="slow", input="Count.", conversation=made.id, stream=True) as stream:
        first = next(iter(stream))
        assert first.type == "response.created"
        for busy in (
            lambda: client.responses.create(model="echo", input="two", conversation=made.id),
            lambda: client.conversations.items.create(made.id, items=[{"role": "user", "content": "x"}]),
        ):
            with pytest.raises(openai.ConflictError) as caught:
                busy()
            assert caught.value.code == "conversation_busy"
        assert texts(client, made.id) == [("user", "Count.")]
        assert client.responses.cancel(first.response.id).status == "cancelled"


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"items": [{"role": "user"}]}, "items[0].content"),
        ({"items": [{"role": "user", "content": [{"type": "input_image"}]}]}, "items[0].content[0].image_url"),
        ({"items": [{"type": "function_call", "call_id": "c"}]}, "items[0]."),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"title": "x"}, "title"),
    ],
)
def test_what_is_not_supported_is_refused_by_field(api: ApiProcess, sent: dict[str, Any], param: str) -> None:
    answer = fetch(f"{api.url}/v1/conversations", sent)
    assert answer.status == 400
    assert str(answer.json["error"]["param"]).startswith(param)
