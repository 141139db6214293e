"""Responses by an upstream that has them, too: requests, events and items pass as they are; state and ends are ours."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chatfleet_contract.spec.providers import Model
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import OneModel
from harness.upstream.catalogue import catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Handler, Reply, fake_upstream, playing
from harness.upstream.wires import ResponsesWire, event, refusing, whole

PATH = "/v1/responses"
WIRE = ResponsesWire()
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA=="}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
CITED = [{"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}]
PART = {"type": "output_text", "text": "Hi you", "annotations": CITED, "logprobs": []}
MESSAGE = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "phase": "final_answer"}
OUTPUT: list[dict[str, Any]] = [REASONING, SEARCH, {**MESSAGE, "content": [PART]}]
USAGE = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0, "of_next_year": 1},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 11,
}
MODEL = Model.model_validate({"name": "default", "provider": "up", "model": "gpt-x"})
PLACE = {"item_id": "msg_1", "output_index": 2, "content_index": 0}
OBJECT = {"id": "resp_theirs", "object": "response", "model": "gpt-x-2026", "created_at": 1, "store": False}
EVENTS: list[dict[str, Any]] = [
    {"type": "response.output_item.added", "output_index": 0, "item": {**REASONING, "encrypted_content": ""}},
    {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
    {"type": "response.output_item.added", "output_index": 1, "item": {**SEARCH, "status": "in_progress"}},
    {"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"},
    {"type": "response.output_item.done", "output_index": 1, "item": SEARCH},
    {"type": "response.output_item.added", "output_index": 2, "item": {**MESSAGE, "content": []}},
    {"type": "response.content_part.added", **PLACE, "part": {**PART, "text": "", "annotations": []}},
    {"type": "response.output_text.delta", **PLACE, "delta": "Hi", "logprobs": []},
    {"type": "response.output_text.delta", **PLACE, "delta": " you", "logprobs": []},
    {"type": "response.output_text.annotation.added", **PLACE, "annotation_index": 0, "annotation": CITED[0]},
    {"type": "response.of.next.year", "value": {"a": [1, None]}},
    {"type": "response.output_text.done", **PLACE, "text": "Hi you", "logprobs": []},
    {"type": "response.content_part.done", **PLACE, "part": PART},
    {"type": "response.output_item.done", "output_index": 2, "item": OUTPUT[2]},
]
COMPLETED = {
    **OBJECT,
    "status": "completed",
    "output": OUTPUT,
    "usage": USAGE,
    "service_tier": "flex",
    "reasoning": {"effort": "low", "summary": "auto"},
    "of_next_year": {"b": 2},
}


def framed(*events: dict[str, Any]) -> list[bytes]:
    """Return events as the upstream numbers and pads them."""
    first = {"type": "response.created", "response": {**OBJECT, "status": "in_progress"}}
    numbered = enumerate((first, *events))
    return [event({**each, "sequence_number": at, "obfuscation": "x" * at}, each["type"]) for at, each in numbered]


RICH = playing(*framed(*EVENTS, {"type": "response.completed", "response": COMPLETED}), "end")
IN_ONE_READ = playing(b"".join(framed(*EVENTS, {"type": "response.completed", "response": COMPLETED})), "end")


@dataclass
class Asked:
    """A pod with one model at an upstream."""

    pod: Pod
    upstream: FakeUpstream

    async def post(self, **fields: Any) -> Exchange:  # noqa: ANN401  # any JSON
        return await ask(self.pod.app, post(PATH, {"model": "m", "input": "Hi", **fields}))

    async def get(self, path: str) -> Exchange:
        return await ask(self.pod.app, get(f"{PATH}/{path}"))

    @property
    def received(self) -> Any:  # noqa: ANN401  # any JSON
        return self.upstream.requests[-1].json


@asynccontextmanager
async def asked(*scripts: Handler, **settings: object) -> AsyncIterator[Asked]:
    async with fake_upstream(*scripts) as upstream:
        config = config_of(provider_of(WIRE, upstream.url, **settings), models=[MODEL])
        async with catalogue_of(config) as catalogue:
            yield Asked(Pod(catalogue.provider("default")), upstream)


def events_of(exchange: Exchange) -> list[dict[str, Any]]:
    frames = [frame for frame in exchange.body.decode().split("\n\n") if "data: " in frame]
    events: list[dict[str, Any]] = [json.loads(frame.partition("data: ")[2]) for frame in frames]
    assert [frame.partition("\n")[0] for frame in frames] == [f"event: {each['type']}" for each in events]
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    return events


def without_number(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in each.items() if name != "sequence_number"} for each in events]


REQUEST = {
    "input": [
        {"role": "developer", "content": "Be brief."},
        {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
        {"type": "of_next_year", "value": 1},
        {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]},
    ],
    "tools": [{"type": "web_search"}, {"type": "mcp", "server_label": "s", "server_url": "https://s.example"}],
    "tool_choice": {"type": "web_search"},
    "text": {"format": {"type": "text"}, "verbosity": "low", "of_next_year": 1},
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    "truncation": "auto",
    "service_tier": "flex",
    "top_logprobs": 2,
    "prompt_cache_key": "k",
    "field_of_next_year": {"a": [1, 2.5, None]},
}


async def test_a_request_arrives_as_it_was_sent_and_nothing_is_stored_there() -> None:
    async with asked(RICH) as pod:
        answer = await pod.post(**REQUEST)
        assert answer.status == 200, answer.body
        assert pod.received == {**REQUEST, "model": "gpt-x", "store": False, "stream": True}


@pytest.mark.parametrize("script", [RICH, IN_ONE_READ], ids=["one at a time", "in one read"])
async def test_each_event_reaches_the_client_in_its_order_with_the_runs_numbers(script: Handler) -> None:
    async with asked(script) as pod:
        created, began, *events, completed = events_of(await pod.post(stream=True))
    assert (created["type"], began["type"]) == ("response.created", "response.in_progress")
    assert without_number(events) == EVENTS
    response = completed["response"]
    assert completed["type"] == "response.completed"
    assert response["id"] == created["response"]["id"] != OBJECT["id"]
    assert (response["model"], response["status"], response["store"]) == ("m", "completed", True)
    assert (response["output"], response["usage"]) == (OUTPUT, USAGE)
    assert (response["service_tier"], response["of_next_year"]) == ("flex", {"b": 2})
    assert response["reasoning"] == COMPLETED["reasoning"]


async def test_a_response_that_is_not_streamed_and_one_that_is_retrieved_are_the_same() -> None:
    async with asked(RICH) as pod:
        answer = (await pod.post()).json()
        assert (answer["output"], answer["usage"], answer["of_next_year"]) == (OUTPUT, USAGE, {"b": 2})
        found = (await pod.get(answer["id"])).json()
        assert found == answer
        streamed = events_of(await pod.get(f"{answer['id']}?stream=true"))
        assert without_number(streamed[2:-1]) == EVENTS
        resumed = (await pod.get(f"{answer['id']}?stream=true&starting_after=8")).body.decode()
        assert resumed.startswith("event: response.output_text.delta")
        assert '"sequence_number":9' in resumed.partition("\n\n")[0]


async def test_a_chain_sends_all_items_back_as_they_came_with_the_reasoning_encrypted() -> None:
    async with asked(RICH) as pod:
        first = (await pod.post(reasoning={"effort": "low"})).json()
        assert pod.received["include"] == ["reasoning.encrypted_content"]
        await pod.post(input="And?", previous_response_id=first["id"], include=["web_search_call.action.sources"])
        question = {"type": "message", "role": "user", "content": "Hi"}
        follow_up = {"type": "message", "role": "user", "content": "And?"}
        assert pod.received["input"] == [question, *OUTPUT, follow_up]
        assert pod.received["include"] == ["web_search_call.action.sources", "reasoning.encrypted_content"]
        assert not pod.received.keys() & {"previous_response_id", "conversation"}


async def test_an_item_that_is_referred_to_arrives_itself() -> None:
    async with asked(RICH) as pod:
        first = (await pod.post(input=[{"role": "user", "content": "One", "of_next_year": 1}])).json()
        (item,) = (await pod.get(f"{first['id']}/input_items")).json()["data"]
        answer = await pod.post(input=[{"type": "item_reference", "id": item["id"]}], field_of_next_year=2)
        assert answer.status == 200, answer.body
        assert pod.received["input"] == [item]
        assert (item["of_next_year"], pod.received["field_of_next_year"]) == (1, 2)


async def test_what_the_upstream_has_compacted_is_not_sent_again_to_its_model() -> None:
    """Another model cannot read the compaction: it gets all that was before."""
    compaction: dict[str, Any] = {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAA=="}
    done = {"type": "response.output_item.done", "output_index": 0, "item": compaction}
    output: list[dict[str, Any]] = [compaction, {**MESSAGE, "content": [PART]}]
    compacting = framed(done, {"type": "response.completed", "response": {**COMPLETED, "output": output}})
    asking = {"context_management": [{"type": "compaction", "compact_threshold": 1000}]}
    async with asked(RICH, playing(*compacting, "end"), RICH) as pod:
        first = (await pod.post(input="One")).json()
        second = (await pod.post(input="Two", previous_response_id=first["id"], **asking)).json()
        assert pod.received["context_management"] == asking["context_management"]
        assert second["output"] == output
        await pod.post(input="Three", previous_response_id=second["id"])
        one, two, three = ({"type": "message", "role": "user", "content": text} for text in ("One", "Two", "Three"))
        assert pod.received["input"] == [*output, three]
        other = MODEL.model_copy(update={"model": "gpt-y"})
        config = config_of(provider_of(WIRE, pod.upstream.url), models=[other])
        async with catalogue_of(config) as catalogue:
            models = pod.pod.chat.catalogue()
            assert isinstance(models, OneModel)
            models.answers_by(catalogue.provider("default"))
            await pod.post(input="Three", previous_response_id=second["id"])
        everything = [*OUTPUT, *output]
        unsealed = [each for each in everything if "encrypted_content" not in each]
        assert pod.received["input"] == [one, *unsealed[:2], two, *unsealed[2:], three]


@pytest.mark.parametrize("stored", [True, False], ids=["chain", "in the request"])
async def test_an_upstream_that_does_not_truncate_gets_a_shorter_input(*, stored: bool) -> None:
    """It gets `truncation` as it was sent; when it rejects the input all the same, the oldest turns are left out."""
    turns = [{"type": "message", "role": "user", "content": f"{number}"} for number in range(6)]

    async def limited(reply: Reply) -> None:
        if len(reply.request.json["input"]) > 2:
            error = {"message": "Too long.", "type": "invalid_request_error", "code": "context_length_exceeded"}
            await refusing(400, json.dumps({"error": error}).encode())(reply)
        else:
            await playing(*whole(WIRE), "end")(reply)

    async with asked(limited) as pod:
        made = (await ask(pod.pod.app, post("/v1/conversations", {"items": turns[:5]}))).json()
        given = {"conversation": made["id"], "input": turns[5:]} if stored else {"input": turns}
        answer = await pod.post(**given, truncation="auto")
        assert answer.status == 200, answer.body
        assert [len(each.json["input"]) for each in pod.upstream.requests] == [6, 3, 1]
        assert pod.received["input"] == turns[5:]
        assert pod.received["truncation"] == "auto"
        refused = await pod.post(**given)
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        assert len(pod.upstream.requests) == 4


async def test_reasoning_that_another_model_has_sealed_is_not_sent() -> None:
    theirs = {"type": "reasoning", "summary": [], "encrypted_content": "chatfleet.1.W10="}
    async with asked(RICH) as pod:
        await pod.post(input=[{"role": "user", "content": "Hi"}, theirs, REASONING])
        assert pod.received["input"] == [{"role": "user", "content": "Hi"}, REASONING]


async def test_the_items_of_a_conversation_are_those_of_the_upstream() -> None:
    async with asked(RICH) as pod:
        made = (await ask(pod.pod.app, post("/v1/conversations", {}))).json()
        await pod.post(conversation=made["id"])
        listed = (await ask(pod.pod.app, get(f"/v1/conversations/{made['id']}/items?order=asc"))).json()
        assert listed["data"][1:] == OUTPUT
        await pod.post(conversation=made["id"], input="And?")
        assert pod.received["input"][1:-1] == OUTPUT


async def test_a_failure_ends_the_response_with_the_items_that_are_whole() -> None:
    error = {"code": "server_error", "message": "It broke."}
    failed = {"type": "response.failed", "response": {**OBJECT, "status": "failed", "error": error}}
    for ending in (framed(*EVENTS[:8], failed), framed(*EVENTS[:8])):
        async with asked(playing(*ending, "end")) as pod:
            *_, last = events_of(await pod.post(stream=True))
            assert last["type"] == "response.failed"
            assert (last["response"]["status"], last["response"]["output"]) == ("failed", OUTPUT[:2])


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter", "max_messages", "of_next_year"])
async def test_an_incomplete_response_keeps_its_reason(reason: str) -> None:
    incomplete = {**COMPLETED, "status": "incomplete", "incomplete_details": {"reason": reason}}
    script = playing(*framed(*EVENTS, {"type": "response.incomplete", "response": incomplete}), "end")
    async with asked(script) as pod:
        answer = (await pod.post()).json()
        assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": reason})
        assert (await pod.get(answer["id"])).json()["incomplete_details"] == {"reason": reason}


async def test_nothing_is_visible_before_the_first_content_so_that_a_failure_is_tried_again() -> None:
    begun = playing(*framed(*EVENTS[:1]), "cut")
    async with asked(begun, RICH, retries={"max": 1, "initialSeconds": 1, "maxSeconds": 1}) as pod:
        events = events_of(await pod.post(stream=True))
        assert without_number(events[2:-1]) == EVENTS
        assert len(pod.upstream.requests) == 2


async def test_a_character_cut_in_half_is_whole() -> None:
    halves = [rb"A\ud83d", rb"\ude00B"]
    tokens = [WIRE.token("X").replace(b'"X"', b'"' + half + b'"') for half in halves]
    async with asked(playing(*WIRE.begin(), *tokens, *WIRE.finish(), "end")) as pod:
        events = events_of(await pod.post(stream=True))
        text = "".join(each["delta"] for each in events if each["type"] == "response.output_text.delta")
    assert text == "A\N{GRINNING FACE}B"


async def test_an_upstream_that_answers_in_one_document_is_relayed_too() -> None:
    async with asked(playing(*whole(WIRE), "end"), compatibility={"stream": False}) as pod:
        answer = await pod.post()
        assert answer.json()["output"][0]["id"] == "msg_1"
        assert pod.received["stream"] is False
