"""The Responses API by the vendor's own SDK, unmodified, against the API as a process with scripted models."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import openai
import pytest
from openai.types.responses import (
    EasyInputMessageParam,
    FunctionToolParam,
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseInProgressEvent,
    ResponseInputImageParam,
    ResponseOutputMessageParam,
    ResponseStreamEvent,
)
from openai.types.responses.response_input_param import FunctionCallOutput
from pydantic import BaseModel

from harness.pods.api_process import ApiProcess, api_process, scripted
from harness.polling import eventually

Snapshot: Final = (ResponseCreatedEvent, ResponseInProgressEvent, ResponseCompletedEvent)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("api"), scripted()) as running:
        yield running


@pytest.fixture
def client(api: ApiProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def text_of(events: list[ResponseStreamEvent]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def ended(client: openai.OpenAI, response: Response) -> Response:
    eventually(lambda: client.responses.retrieve(response.id).status != "in_progress", every=0.1)
    return client.responses.retrieve(response.id)


def test_a_whole_response_is_kept(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="Say hello twice", instructions="Be brief.")
    assert (response.status, response.output_text) == ("completed", "Say hello twice")
    assert response.usage is not None
    assert response.usage.total_tokens == 8
    assert client.responses.retrieve(response.id).output_text == "Say hello twice"


class Answer(BaseModel):
    a: int


def test_a_response_shows_what_was_requested_in_each_event_and_later(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"metadata": {"ticket": "7"}, "instructions": "Be brief.", "max_tool_calls": 3}
    with client.responses.create(model="count", input="Hi", stream=True, **asked) as stream:
        shown = [event.response for event in stream if isinstance(event, Snapshot)]
    assert [response.status for response in shown] == ["in_progress", "in_progress", "completed"]
    for response in shown:
        assert {name: getattr(response, name) for name in asked} == asked
        assert (response.background, response.truncation, response.temperature) == (False, "disabled", 1.0)
    assert client.responses.retrieve(shown[-1].id) == shown[-1]


def test_json_of_a_schema_is_parsed_by_the_sdk(client: openai.OpenAI) -> None:
    response = client.responses.parse(model="echo", input='{"a": 1}', text_format=Answer)
    assert response.output_parsed == Answer(a=1)
    assert response.text is not None
    assert response.text.format is not None
    assert response.text.format.type == "json_schema"


def test_an_output_goes_back_into_the_next_input_as_it_is(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="one")
    said = [
        {"role": "user", "content": "one"},
        *(item.model_dump(exclude={"content": {0: {"logprobs"}}}) for item in first.output),
    ]
    again = client.responses.create(model="count", input=[*said, {"role": "user", "content": "two"}])  # type: ignore[list-item]
    assert again.output_text == "1 2 3 4 5"


def test_an_image_and_a_refusal_are_taken(client: openai.OpenAI) -> None:
    refused: ResponseOutputMessageParam = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "refusal", "refusal": "No."}],
    }
    image: ResponseInputImageParam = {
        "type": "input_image",
        "image_url": "data:image/png;base64,iVBORw0KGgo=",
        "detail": "original",
    }
    question: EasyInputMessageParam = {"role": "user", "content": [{"type": "input_text", "text": "And this?"}, image]}
    response = client.responses.create(model="echo", input=[{"role": "user", "content": "This?"}, refused, question])
    assert response.output_text == "And this?"


def test_a_stream_has_the_vendors_events_in_order_and_without_gaps(client: openai.OpenAI) -> None:
    with client.responses.create(model="count", input="Count.", stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events if event.type != "response.output_text.delta"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert text_of(events) == "1 2 3 4 5"
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "1 2 3 4 5"


def test_the_sdks_own_stream_helper_puts_it_together(client: openai.OpenAI) -> None:
    with client.responses.stream(model="count", input="Count.") as stream:
        assert stream.get_final_response().output_text == "1 2 3 4 5"


@pytest.mark.parametrize("after", [0, 3, 7])
def test_a_stream_that_was_left_is_resumed_where_it_was_left(client: openai.OpenAI, after: int) -> None:
    with client.responses.create(model="slow", input="Count.", stream=True, background=True) as stream:
        seen = list(islice(stream, after + 1))
    first = seen[0]
    assert first.type == "response.created"
    with client.responses.retrieve(first.response.id, stream=True, starting_after=after) as resumed:
        rest = list(resumed)
    assert [event.sequence_number for event in seen + rest] == list(range(len(seen) + len(rest)))
    assert text_of(seen + rest) == " ".join(str(number) for number in range(1, 31))


@pytest.mark.feature(45)
def test_in_the_background_it_is_answered_while_nobody_waits(client: openai.OpenAI) -> None:
    response = client.responses.create(model="slow", input="Count.", background=True)
    assert (response.status, response.output) == ("in_progress", [])
    assert ended(client, response).output_text.endswith(" 30")


def test_a_response_is_cancelled_with_what_had_come(client: openai.OpenAI) -> None:
    with client.responses.create(model="endless", input="Count.", stream=True, background=True) as stream:
        first = next(iter(stream))
        seen = ""
        while not seen.startswith("1 2 3"):
            event = next(stream)
            seen += event.delta if event.type == "response.output_text.delta" else ""
    assert first.type == "response.created"
    cancelled = client.responses.cancel(first.response.id)
    assert cancelled.status == "cancelled"
    assert cancelled.output_text.startswith("1 2 3")
    assert client.responses.retrieve(first.response.id).status == "cancelled"


def test_a_failure_before_the_first_token_is_a_status_and_after_it_a_failed_response(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model="limited", input="Count.", stream=True)
    with client.responses.create(model="cut", input="Count.", stream=True) as stream:
        *_, last = list(stream)
    assert last.type == "response.failed"
    assert (last.response.status, last.response.output_text) == ("failed", "1 2 3")
    assert last.response.error is not None
    with pytest.raises(openai.APIStatusError):
        client.responses.create(model="cut", input="Count.")


def test_a_limit_makes_it_incomplete(client: openai.OpenAI) -> None:
    response = client.responses.create(model="count", input="Count.", max_output_tokens=2)
    assert (response.status, response.output_text) == ("incomplete", "1 2")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_what_is_not_stored_is_not_found(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="Hi", store=False)
    for unknown in (response.id, "resp_x", f"resp_{0:064}"):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(unknown)


def test_what_is_not_offered_is_refused_by_name(client: openai.OpenAI) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"background": True, "store": False}, "store"),
        ({"conversation": "conv_1", "store": False}, "store"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "previous_response_id"),
    ]
    for parameters, param in refused:
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="echo", input="Hi", **parameters)
        assert caught.value.param == param


@pytest.mark.parametrize("background", [True, False])
def test_what_no_upstream_has_is_refused_before_it_is_stored(client: openai.OpenAI, *, background: bool) -> None:
    """Stored, it would be a part of the conversation that no later turn could get."""
    conversation = client.conversations.create().id
    document: Any = [{"role": "user", "content": [{"type": "input_file", "file_url": "https://a.example/b.pdf"}]}]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"tools": [{"type": "web_search"}], "input": "Hi"}, "tools[0]"),
        ({"input": document}, "input[0].content[0]"),
        ({"input": "Hi", "include": ["web_search_call.results"]}, "include[0]"),
    ]
    for parameters, param in refused:
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="echo", conversation=conversation, background=background, **parameters)
        assert caught.value.param == param
    assert client.conversations.items.list(conversation).data == []
    assert client.responses.create(model="echo", input="Hi", conversation=conversation).output_text == "Hi"


def test_a_chain_has_all_that_was_said(client: openai.OpenAI) -> None:
    """The scripted model counts the words that it gets."""
    previous: str | None = None
    counted: list[int] = []
    for number in range(3):
        response = client.responses.create(
            model="echo", input=f"turn {number}", instructions="Only now.", previous_response_id=previous
        )
        assert response.previous_response_id == previous
        assert client.responses.retrieve(response.id) == response
        assert response.usage is not None
        counted.append(response.usage.input_tokens)
        previous = response.id
    assert counted == [4, 8, 12]


def test_a_previous_response_that_is_unknown_or_not_stored_is_named(client: openai.OpenAI) -> None:
    unstored = client.responses.create(model="echo", input="Hi", store=False)
    for unknown in (unstored.id, "resp_1"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="echo", input="Hi", previous_response_id=unknown)
        assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_the_items_of_an_input_are_listed_as_they_came(client: openai.OpenAI) -> None:
    asked: list[Any] = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "one"}]},
        {"role": "assistant", "content": "two", "phase": "commentary"},
        {"role": "user", "content": "three"},
    ]
    response = client.responses.create(model="echo", input=asked)
    listed = list(client.responses.input_items.list(response.id, order="asc", limit=3))
    assert [(item.type, getattr(item, "role", "")) for item in listed] == [
        ("message", role) for role in ("developer", "user", "assistant", "user")
    ]
    assert [item.to_dict()["content"][0]["text"] for item in listed] == ["Be kind.", "one", "two", "three"]  # type: ignore[index]
    assert listed[2].to_dict()["phase"] == "commentary"
    newest = client.responses.input_items.list(response.id, limit=1)
    assert newest.data[0].id == listed[-1].id
    assert newest.has_more
    with pytest.raises(openai.BadRequestError):
        client.responses.input_items.list(response.id, after="msg_1")


def test_a_deleted_response_is_not_found(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="Hi")
    client.responses.delete(response.id)
    for use in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            use(response.id)


def test_the_tokens_of_an_input_are_estimated_with_what_was_said_before(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="12345678")
    alone = client.responses.input_tokens.count(model="echo", input="1234")
    after = client.responses.input_tokens.count(model="echo", input="1234", previous_response_id=response.id)
    assert (alone.object, alone.input_tokens, after.input_tokens) == ("response.input_tokens", 1, 5)
    with_tools = client.responses.input_tokens.count(model="echo", input="1234", tools=[ADD])
    assert with_tools.input_tokens > 20


ADD: FunctionToolParam = {
    "type": "function",
    "name": "add",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "strict": True,
}


def test_a_chain_carries_calls_of_tools_and_their_results(client: openai.OpenAI) -> None:
    first = client.responses.create(model="tools", input='add {"a": 1}', tools=[ADD], tool_choice="required")
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, call.arguments, call.status) == ("add", '{"a": 1}', "completed")
    assert (first.tool_choice, first.tools[0].to_dict()["name"]) == ("required", "add")
    assert client.responses.retrieve(first.id) == first
    result: FunctionCallOutput = {"type": "function_call_output", "call_id": call.call_id, "output": "is 42"}
    with client.responses.create(
        model="tools", input=[result], tools=[ADD], previous_response_id=first.id, stream=True
    ) as stream:
        *_, last = list(stream)
    assert last.type == "response.completed"
    assert last.response.output_text == "is 42"
    (sent,) = client.responses.input_items.list(last.response.id).data
    assert {**sent.to_dict(), **result} == sent.to_dict()
    third = client.responses.create(model="echo", input="And now?", previous_response_id=last.response.id)
    assert third.output_text == "And now?"


def test_calls_of_tools_stream_as_the_sdks_helper_expects_them(client: openai.OpenAI) -> None:
    asked = 'add {"a": 1}\nadd {"a": 2}'
    with client.responses.stream(model="tools", input=asked, tools=[ADD]) as stream:
        kinds = [event.type for event in stream if event.type.startswith("response.function_call_arguments")]
        calls = stream.get_final_response().output
    assert [call.to_dict()["arguments"] for call in calls] == ['{"a": 1}', '{"a": 2}']
    assert kinds.count("response.function_call_arguments.done") == 2


def reference(ident: str | None) -> Any:  # noqa: ANN401  # an item
    return {"type": "item_reference", "id": ident}


def test_items_are_referred_to_by_their_ids_in_the_place_of_a_chain(client: openai.OpenAI) -> None:
    """As clients do that keep a list of items and not the id of a response, such as the AI SDK of Vercel."""
    first = client.responses.create(model="tools", input='add {"a": 1}', tools=[ADD])
    (question,) = client.responses.input_items.list(first.id).data
    (call,) = first.output
    assert call.type == "function_call"
    result: FunctionCallOutput = {"type": "function_call_output", "call_id": call.call_id, "output": "is 42"}
    second = client.responses.create(
        model="tools", input=[reference(question.id), reference(call.id), result], tools=[ADD]
    )
    assert second.output_text == "is 42"
    listed = client.responses.input_items.list(second.id, order="asc").data
    assert [item.type for item in listed] == ["message", "function_call", "function_call_output"]
    assert listed[1].id == call.id
    message = second.output[0]
    third = client.responses.create(model="echo", input=[reference(message.id), {"role": "user", "content": "So?"}])
    chained = client.responses.input_items.list(third.id, order="asc").data[0].to_dict()
    assert chained["content"][0]["text"] == "is 42"  # type: ignore[index]
    assert client.responses.input_tokens.count(model="echo", input=[reference(message.id)]).input_tokens > 0


def test_a_reference_to_reasoning_brings_all_of_it(client: openai.OpenAI) -> None:
    first = client.responses.create(model="reason", input="Hi")
    reasoning, message = first.output
    back = [reference(reasoning.id), reference(message.id), {"role": "user", "content": "Go on"}]
    second = client.responses.create(model="echo", input=back)
    listed = client.responses.input_items.list(second.id, order="asc").data[0].to_dict()
    assert str(listed["encrypted_content"]).startswith("chatfleet.")


def test_a_reference_to_what_is_not_stored_is_refused(client: openai.OpenAI) -> None:
    unstored = client.responses.create(model="echo", input="Hi", store=False)
    deleted = client.responses.create(model="echo", input="Hi")
    client.responses.delete(deleted.id)
    begun = client.responses.create(model="endless", input="Hi", background=True)
    (pending,) = client.responses.input_items.list(begun.id).data
    client.responses.cancel(begun.id)
    known = pending.id or ""
    beside = f"{known[:-1]}{'A' if known[-1] != 'A' else 'E'}"
    for unknown in (unstored.output[0].id, deleted.output[0].id, "msg_1", beside, f"{known}_2", None):
        with pytest.raises(openai.NotFoundError) as caught:
            client.responses.create(model="echo", input=[{"role": "user", "content": "Hi"}, reference(unknown)])
        assert caught.value.param == "input[1].id"


def test_a_conversation_lists_calls_and_results_as_items(client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id
    client.responses.create(model="tools", input='add {"a": 1}', tools=[ADD], conversation=conversation)
    listed = list(client.conversations.items.list(conversation, order="asc"))
    assert [item.type for item in listed] == ["message", "function_call"]
    call = listed[1].to_dict()
    client.conversations.items.create(
        conversation,
        items=[{"type": "function_call_output", "call_id": str(call["call_id"]), "output": "is 42"}],
    )
    answer = client.responses.create(model="tools", input=[], tools=[ADD], conversation=conversation)
    assert answer.output_text == "is 42"
    assert [item.type for item in client.conversations.items.list(conversation, order="asc")][2:] == [
        "function_call_output",
        "message",
    ]


@pytest.mark.parametrize("kind", ["web_search", "file_search", "code_interpreter", "image_generation", "mcp", "custom"])
def test_a_tool_that_the_upstream_does_not_have_is_refused_by_name(client: openai.OpenAI, kind: str) -> None:
    tool: Any = {"type": kind, "name": "run"}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="tools", input="Hi", tools=[ADD, tool])
    assert caught.value.param == "tools[1]"
    assert f"type '{kind}'" in caught.value.message


def test_reasoning_is_an_item_that_goes_back_sealed(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"reasoning": {"effort": "low", "summary": "auto"}, "store": False}
    with client.responses.stream(
        model="reason", input="Hi", include=["reasoning.encrypted_content"], **asked
    ) as stream:
        kinds = {event.type for event in stream}
        response = stream.get_final_response()
    assert "response.reasoning_summary_text.delta" in kinds
    reasoning, message = response.output
    assert reasoning.type == "reasoning"
    assert reasoning.summary[0].text
    assert reasoning.encrypted_content
    assert message.type == "message"
    back: list[Any] = [*(item.to_dict() for item in response.output), {"role": "user", "content": "Go on"}]
    assert client.responses.create(model="echo", input=back, store=False).output_text == "Go on"


def test_stored_reasoning_is_retrieved_as_it_was(client: openai.OpenAI) -> None:
    response = client.responses.create(model="reason", input="Hi", include=["reasoning.encrypted_content"])
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert client.responses.retrieve(response.id) == response


def test_a_conversation_is_compacted_to_a_summary_that_goes_on(client: openai.OpenAI) -> None:
    first = client.responses.create(model="echo", input="My name is Ann")
    before = client.responses.retrieve(first.id)
    raw = client.responses.with_raw_response.compact(
        model="echo", previous_response_id=first.id, input="And I like tea"
    )
    compacted, sent = raw.parse(), raw.http_response.json()["output"]
    assert (compacted.object, [item.type for item in compacted.output]) == (
        "response.compaction",
        ["message", "message", "compaction"],
    )
    assert compacted.usage.total_tokens > 0
    assert client.responses.retrieve(first.id) == before
    back: list[Any] = [*sent, {"role": "user", "content": "Go on"}]
    again = client.responses.create(model="echo", input=back)
    assert again.output_text == "Go on"
    assert again.usage is not None
    plain = client.responses.create(model="echo", input=[*back[:2], back[3]])
    assert plain.usage is not None
    assert again.usage.input_tokens > plain.usage.input_tokens + 10


def test_a_summary_of_another_vendor_and_an_unknown_field_are_refused_by_name(client: openai.OpenAI) -> None:
    foreign: Any = [{"type": "compaction", "encrypted_content": "gAAAAABabc"}]
    for send, param in (
        (lambda: client.responses.create(model="echo", input=foreign), "input[0]"),
        (lambda: client.responses.compact(model="echo", input=foreign), "input[0]"),
        (lambda: client.responses.compact(model="echo", input="Hi", extra_body={"colour": 1}), "colour"),
        (lambda: client.responses.compact(model="echo"), "input"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            send()
        assert caught.value.param == param


def test_an_item_of_every_kind_is_kept_in_a_conversation_as_it_came(client: openai.OpenAI) -> None:
    items: list[Any] = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "a"}},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        {"type": "of_next_year", "id": "x_1", "value": {"a": [1, 2.5, None]}},
    ]
    conversation = client.conversations.create(items=items).id
    listed = client.conversations.items.with_raw_response.list(conversation, order="asc").http_response.json()["data"]
    assert [{**item, **sent} == item for item, sent in zip(listed, items, strict=True)] == [True] * 3
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="echo", input="Hi", conversation=conversation)
    assert caught.value.param == "conversation"
    assert "web_search_call" in caught.value.message
