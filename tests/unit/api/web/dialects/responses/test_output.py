"""The items of a response and their events, in the vendor's order, for texts, thoughts and calls of tools."""

import json
from itertools import pairwise
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from chatfleet_api.chat.items import understood
from chatfleet_api.chat.reply import Reply, pieces_of
from chatfleet_api.chat.thoughts import read_thoughts
from chatfleet_api.chat.turn import final_message
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import (
    Complete,
    Event,
    Failed,
    FinishReason,
    Piece,
    Reasoning,
    RequiresAction,
    ServerToolCall,
    ServerToolResult,
    Signature,
    Start,
    Thought,
    Token,
    ToolCall,
    Usage,
)
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_api.web.dialects.responses.echo import echo_of
from chatfleet_api.web.dialects.responses.encode import ResponseEncoder
from chatfleet_api.web.dialects.responses.include import ENCRYPTED_REASONING
from chatfleet_api.web.dialects.responses.items import items_of
from chatfleet_api.web.dialects.responses.reasoning import ReasoningOptions
from chatfleet_api.web.dialects.responses.request import ResponseBody

EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
ECHO = echo_of(ResponseBody("m", "Hi"))
ADD = (ToolCall(0, "c1", "add"), ToolCall(0, arguments='{"a":'), ToolCall(0, arguments="1}"))
RUN = (ToolCall(1, "c2", "run", custom=True), ToolCall(1, arguments="x = 1"))


CALLED = (ServerToolCall(1, "c1", "t__a", "t", "a", "{}"), ServerToolCall(1, "c2", "t__b", "t", "b", '{"x": 1}'))
CALL_BEGINS = ("output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done")


def end(reason: FinishReason = "stop") -> Complete:
    return Complete(reason, Usage(1, 1), 1)


def events(*pieces: Event, echo: str = ECHO) -> list[dict[str, Any]]:
    """Return the events of a run, each of which the SDK takes."""
    frames = ResponseEncoder().encode(Batch(1, (Start("r", "m", 0, echo=echo), *pieces)))
    read = [json.loads(line.removeprefix("data: ")) for line in frames.decode().splitlines() if line.startswith("data")]
    for each in read:
        EVENT.validate_python(each, strict=False)
    assert [each["sequence_number"] for each in read] == list(range(len(read)))
    return read


def kinds(*pieces: Event, echo: str = ECHO) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events(*pieces, echo=echo)[2:]]


def output(*pieces: Event, echo: str = ECHO) -> list[dict[str, Any]]:
    response = events(*pieces, echo=echo)[-1]["response"]
    Response.model_validate(response, strict=False)
    items: list[dict[str, Any]] = response["output"]
    return items


def test_calls_of_tools_are_items_with_events_of_their_own() -> None:
    assert kinds(Token("Let me see."), *ADD, *RUN, end("tool_calls")) == [
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"),
        "completed",
    ]
    text, add, run = output(Token("Let me see."), *ADD, *RUN, end("tool_calls"))
    assert text["content"][0]["text"] == "Let me see."
    assert add == {
        "type": "function_call",
        "id": "fc_r_0",
        "call_id": "c1",
        "name": "add",
        "arguments": '{"a":1}',
        "status": "completed",
    }
    assert (run["type"], run["call_id"], run["name"], run["input"]) == ("custom_tool_call", "c2", "run", "x = 1")


def test_an_answer_of_calls_alone_has_no_text() -> None:
    assert [item["type"] for item in output(*ADD, end("tool_calls"))] == ["function_call"]
    assert [item["type"] for item in output(end())] == ["message"]


def test_calls_whose_pieces_come_interleaved_are_whole() -> None:
    a, b = ToolCall(0, "c1", "a", '{"x"'), ToolCall(1, "c2", "b", "{")
    made = output(a, b, ToolCall(0, arguments=":1}"), ToolCall(1, arguments="}"), end("tool_calls"))
    assert [item["arguments"] for item in made] == ['{"x":1}', "{}"]
    read = events(a, b, ToolCall(0, arguments=":1}"), ToolCall(1, arguments="}"), end("tool_calls"))
    for index, whole in enumerate(('{"x":1}', "{}")):
        own = [event for event in read if event.get("output_index") == index]
        assert "".join(event["delta"] for event in own if "delta" in event) == whole
        assert own[-1]["type"] == "response.output_item.done"


def test_each_item_has_the_next_number_and_ends_once() -> None:
    read = events(Reasoning("Hm."), Token("a"), *ADD, Token("b"), *RUN, Reasoning("So."), Token("c"), end())
    added, done = (
        [e["output_index"] for e in read if e["type"] == f"response.output_item.{w}"] for w in ("added", "done")
    )
    assert added == done == list(range(7))
    ids = [event["item"]["id"] for event in read if event["type"] == "response.output_item.added"]
    assert len(set(ids)) == 7
    assert [item["id"] for item in read[-1]["response"]["output"]] == ids
    assert all(first["sequence_number"] < second["sequence_number"] for first, second in pairwise(read))


def test_a_response_that_fails_has_what_came_as_incomplete() -> None:
    failed = Failed.of(ChatError(Code.UPSTREAM_TRUNCATED))
    text, call = output(Token("a"), ToolCall(0, "c1", "add", '{"a"'), failed)
    assert (text["status"], call["status"], call["arguments"]) == ("completed", "incomplete", '{"a"')


@pytest.mark.parametrize("pieces", [(Reasoning("Hm."), Token("a"), *ADD, *RUN), ADD, (Token("a"), *RUN)])
def test_what_is_stored_becomes_the_same_items(pieces: tuple[Piece, ...]) -> None:
    reply = Reply(lambda: 0.0, pieces)
    pending = StoredMessage("a", "assistant", "", "", "pending", "r")
    stored = pieces_of(final_message(pending, reply, end()))
    assert output(*stored, end("tool_calls")) == output(*pieces, end("tool_calls"))


def test_a_stream_that_is_resumed_has_each_event_once() -> None:
    batch = Batch(1, (Start("r", "m", 0, echo=ECHO), Token("a"), *ADD, *RUN, end("tool_calls")))
    whole = ResponseEncoder().encode(batch)
    frames = whole.split(b"\n\n")
    for after in range(len(frames) - 2):
        assert ResponseEncoder(after=after).encode(batch) == b"\n\n".join(frames[after + 1 :])


SUMMARY = echo_of(ResponseBody("m", "Hi", reasoning=ReasoningOptions("low", "auto")))
SEALED = echo_of(ResponseBody("m", "Hi", include=[ENCRYPTED_REASONING]))
SIGNED = (Reasoning("Hm, "), Reasoning("so."), Reasoning("", signature=Signature("claude", "s+/==")))


def test_reasoning_is_an_item_with_its_text() -> None:
    assert kinds(Reasoning("Hm."), Token("a"), end()) == [
        *("output_item.added", "content_part.added", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    thought, _ = output(Reasoning("Hm,"), Reasoning(" so."), Token("a"), end())
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm, so."}]
    assert (thought["summary"], "encrypted_content" in thought) == ([], False)


def test_reasoning_is_a_summary_for_who_requests_one() -> None:
    assert kinds(Reasoning("Hm."), Token("a"), end(), echo=SUMMARY)[:6] == [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
    ]
    thought, _ = output(Reasoning("Hm."), Token("a"), end(), echo=SUMMARY)
    assert (thought["summary"], thought.get("content")) == ([{"type": "summary_text", "text": "Hm."}], None)


def test_sealed_reasoning_has_all_that_its_vendor_wants_back() -> None:
    hidden = Reasoning("", signature=Signature("claude", "xyz", redacted=True))
    thought, _ = output(*SIGNED, hidden, Reasoning("rest"), Token("a"), end(), echo=SEALED)
    assert read_thoughts(thought["encrypted_content"]) == [
        Thought("Hm, so.", Signature("claude", "s+/==")),
        Thought("", Signature("claude", "xyz", redacted=True)),
        Thought("rest"),
    ]
    assert "include" not in events(Token("a"), end(), echo=SEALED)[-1]["response"]


def test_sealed_reasoning_of_others_is_not_read() -> None:
    for foreign in ("gAAAAABabc", "chatfleet.1.", "chatfleet.1.!", "chatfleet.1.e30="):
        assert read_thoughts(foreign) is None


def test_stored_reasoning_keeps_its_signatures() -> None:
    pending = StoredMessage("a", "assistant", "", "", "pending", "r")
    stored = pieces_of(final_message(pending, Reply(lambda: 0.0, (*SIGNED, Token("a"))), end()))
    assert stored == (Reasoning("Hm, so.", signature=Signature("claude", "s+/==")), Token("a"))


def test_calls_of_the_pod_are_open_until_their_results_are_there() -> None:
    shown = kinds(
        *CALLED, ServerToolResult("c2", "two"), ServerToolResult("c1", "no", is_error=True), Token("x"), end()
    )
    assert shown[:12] == [
        *CALL_BEGINS * 2,
        "mcp_call.completed",
        "output_item.done",
        "mcp_call.failed",
        "output_item.done",
    ]
    assert shown[12] == "output_item.added"


def test_calls_that_wait_for_approval_are_items_of_a_complete_response_also_when_it_is_stored() -> None:
    waiting = ServerToolCall(1, "c1", "t__a", "t", "a", "{}", approval="mcpar_r_1", thoughts=(Thought("hm"),))
    paused, whole = RequiresAction((waiting, CALLED[1])), end("requires_action")
    assert kinds(Token("Let me see."), paused, whole)[-4:] == [
        *("output_item.done", "output_item.added", "output_item.done", "completed")
    ]
    text, request = output(Token("Let me see."), paused, whole)
    assert (text["type"], text["status"]) == ("message", "completed")
    assert request == {
        "id": "mcpar_r_1",
        "type": "mcp_approval_request",
        "arguments": "{}",
        "name": "a",
        "server_label": "t",
    }
    pending = StoredMessage("r", "assistant", "", "", "pending", run="r", echo=ECHO)
    stored = final_message(pending, Reply(lambda: 0.0, (Token("Let me see."), paused)), whole)
    assert items_of(None, stored) == [text, request]
    assert stored.server_tools
    assert stored.server_tools[-1].event == paused


def test_an_approved_call_names_its_request() -> None:
    call = ServerToolCall(1, "c1", "t__a", "t", "a", "{}", approval="mcpar_r_1")
    (shown,) = output(call, ServerToolResult("c1", "one"), end())
    assert shown["approval_request_id"] == "mcpar_r_1"


def test_a_call_without_result_ends_with_the_answer() -> None:
    *_, item, last = events(*CALLED[:1], Failed.of(ChatError(Code.INTERRUPTED)))
    assert (item["type"], item["item"]["status"], item["item"]["output"]) == (
        "response.output_item.done",
        "incomplete",
        None,
    )
    assert last["response"]["output"] == [item["item"]]


def test_a_stored_answer_has_its_calls_between_its_texts() -> None:
    seen = (Token("Let me see."), *CALLED[:1], ServerToolResult("c1", "one"), Token(" Done."))
    whole = events(*seen, end())[-1]["response"]["output"]
    reply = Reply(lambda: 0.0, seen)
    pending = StoredMessage("r", "assistant", "", "", "pending", run="r", echo=ECHO)
    stored = final_message(pending, reply, end())
    assert [each["type"] for each in whole] == ["message", "mcp_call", "message"]
    assert items_of(None, stored) == whole


def test_models_get_no_call_of_ours_again_and_none_of_a_vendor_is_dropped() -> None:
    item = {"type": "mcp_call", "id": "mcpc_r_1", "server_label": "t", "name": "a", "arguments": "{}", "output": "one"}
    assert understood(item, "input[0]") == (None, ())
    assert [each.param for each in understood({**item, "id": "mcp_1"}, "input[0]").untranslated] == ["input[0]"]
