"""Tools of a real MCP server: called by the pod, once, whatever becomes of the pod."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseCompletedEvent
from openai.types.responses.response_output_item import McpCall

from chatfleet_contract.runtime import RuntimeConfig, RuntimeToolServer
from chatfleet_contract.spec.providers import Model
from harness.clients.reader import Reader, begin
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, fetch, scripted
from harness.pods.tool_fleet import ToolFleet, tool_fleet
from harness.polling import eventually
from harness.upstream.mcp_server import McpServerProcess

pytestmark = pytest.mark.lasts(30)

TOKEN = "Bearer of-the-secret"
MODEL = Model(name="tools", provider="scripted", model="tools@20", continuation="prefill", tools=["tickets"])


def config(folder: Path, redis_url: str, server: McpServerProcess) -> RuntimeConfig:
    (folder / "redis").write_text(redis_url)
    headers = folder / "headers"
    headers.mkdir()
    (headers / "Authorization").write_text(TOKEN)
    tickets = RuntimeToolServer(
        name="tickets", url=server.url, headers_folder=str(headers), allow=("search", "create"), timeout_seconds=5
    )
    return scripted("echo").model_copy(
        update={
            "models": (MODEL,),
            "tool_servers": (tickets,),
            "egress": LOOPBACK_EGRESS,
            "redis_url_file": str(folder / "redis"),
        }
    )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolFleet]:
    """Five pods on one Redis, with a tool server; a test may kill the first that runs."""
    with tool_fleet(tmp_path_factory.mktemp("tools"), config, 5) as fleet:
        yield fleet


def message(tool: str, **arguments: object) -> str:
    return f"tickets__{tool} {json.dumps(arguments)}"


def completion(pod: ApiProcess, content: str, **more: object) -> Any:  # noqa: ANN401  # JSON
    body = {"model": "tools", "messages": [{"role": "user", "content": content}], **more}
    return fetch(f"{pod.url}/v1/chat/completions", body).json


def test_a_tool_is_called_once_with_the_headers_of_its_secret_and_clients_of_vendors_get_text(fleet: ToolFleet) -> None:
    pod = fleet.pods[-1]
    answer = completion(pod, message("create", key="plain"))["choices"][0]
    assert answer["message"]["content"] == "create plain is done, and here are some more words"
    assert (answer["finish_reason"], "tool_calls" in answer["message"]) == ("stop", False)
    assert [call for call in fleet.server.ledger() if call["key"] == "plain"] == [
        {"tool": "create", "key": "plain", "authorization": TOKEN}
    ]


def test_other_dialects_of_vendors_hide_the_calls(fleet: ToolFleet) -> None:
    url, content = fleet.pods[-1].url, message("search", key="hidden-calls")
    said = {"model": "tools", "max_tokens": 100, "messages": [{"role": "user", "content": content}]}
    anthropic = fetch(f"{url}/v1/messages", said, **{"anthropic-version": "2023-06-01"}).json
    assert [block["type"] for block in anthropic["content"]] == ["text"]


def test_a_response_has_the_call_wherever_it_is_read(fleet: ToolFleet) -> None:
    content = message("search", key="shown-call")
    with openai.OpenAI(base_url=f"{fleet.pods[-1].url}/v1", api_key="x", max_retries=0) as client:
        conversation = client.conversations.create()
        with client.responses.create(model="tools", input=content, conversation=conversation.id, stream=True) as stream:
            seen = [*stream]
        kinds, end = [event.type for event in seen if "mcp" in event.type], seen[-1]
        assert isinstance(end, ResponseCompletedEvent)
        response = end.response
        call, answer = response.output
        assert isinstance(call, McpCall)
        assert (call.server_label, call.name, call.status, call.error) == ("tickets", "search", "completed", None)
        assert json.loads(call.arguments) == {"key": "shown-call"}
        assert call.output == response.output_text == "search shown-call is done, and here are some more words"
        assert kinds == [
            "response.mcp_call.in_progress",
            "response.mcp_call_arguments.delta",
            "response.mcp_call_arguments.done",
            "response.mcp_call.completed",
        ]
        assert client.responses.retrieve(response.id).output == response.output
        items: list[Any] = [item.to_dict() for item in client.conversations.items.list(conversation.id, order="asc")]
        assert items[1:] == [call.to_dict(), answer.to_dict()]
        more = [*items, {"role": "user", "content": "hello"}]
        again = client.responses.create(model="tools", input=more, store=False)
        assert again.status == "completed"


def test_a_call_that_fails_is_shown_as_such(fleet: ToolFleet) -> None:
    with openai.OpenAI(base_url=f"{fleet.pods[-1].url}/v1", api_key="x", max_retries=0) as client:
        call, _ = client.responses.create(model="tools", input=message("create", title="no key")).output
    assert isinstance(call, McpCall)
    assert (call.status, call.output) == ("failed", None)
    assert "'key' is a required property" in str(call.error)


def test_what_goes_wrong_is_the_result_that_the_model_gets(fleet: ToolFleet) -> None:
    pod = fleet.pods[-1]
    wrong = completion(pod, message("create", title="no key"))["choices"][0]["message"]["content"]
    assert "'key' is a required property" in wrong
    slow = completion(pod, message("create", key="slow", seconds=30))["choices"][0]["message"]["content"]
    assert slow == "The tool did not respond within 5 s."
    offered = completion(pod, "tickets__hidden {}", tool_choice="none")["choices"][0]["message"]
    assert "tool_calls" not in offered
    assert fleet.server.calls("hidden") == 0


def killed(fleet: ToolFleet, content: str, key: str, *, events: int) -> Reader:
    """Kill the pod that answers once a reader has so many events and the server the call; read the rest elsewhere."""
    pod, reader = fleet.pods.pop(0), Reader()
    conversation = begin(pod)
    reader.say(pod, conversation, tokens=events - 1, content=content)
    eventually(lambda: fleet.server.calls(key) > 0)
    pod.program.kill()
    reader.join(fleet.pods[-1], conversation)
    assert reader.saw_each_event_once()
    return reader


START_AND_CALL = 2


def test_a_call_that_may_have_been_made_is_not_made_again(fleet: ToolFleet) -> None:
    reader = killed(fleet, message("create", key="doubtful", seconds=2), "doubtful", events=START_AND_CALL)
    assert reader.ending
    assert (reader.ending[0], reader.ending[1]["code"]) == ("error", "interrupted")
    assert "create of tool server tickets, which may have been made" in reader.ending[1]["message"]
    assert fleet.server.calls("doubtful") == 1


def test_a_call_that_only_reads_is_made_again(fleet: ToolFleet) -> None:
    reader = killed(fleet, message("search", key="read", seconds=2), "read", events=START_AND_CALL)
    assert reader.ending
    assert reader.ending[0] == "complete"
    assert reader.text == "search read is done, and here are some more words"
    assert fleet.server.calls("read") == 2


def test_a_finished_step_is_not_repeated(fleet: ToolFleet) -> None:
    reader = killed(fleet, message("create", key="finished"), "finished", events=START_AND_CALL + 4)
    assert reader.ending
    assert reader.ending[0] == "complete"
    assert reader.text == "create finished is done, and here are some more words"
    assert fleet.server.calls("finished") == 1
    names = [line.removeprefix("event: ") for line in reader.lines if line.startswith("event: ")]
    assert names[:3] == ["start", "server_tool_call", "server_tool_result"]


ANSWERS = 24
"""At a time; their calls take from 0 to 1.2 s, so that the kill meets each at another moment."""


def test_a_kill_at_any_moment_repeats_no_call_and_loses_none_silently(fleet: ToolFleet) -> None:
    pod = fleet.pods.pop(0)
    readers = {f"random-{number}": Reader() for number in range(ANSWERS)}
    paths = {key: begin(pod) for key in readers}

    def say(key: str) -> None:
        seconds = int(key.rsplit("-", 1)[1]) / 20
        with suppress(http.client.HTTPException, OSError):  # the pod is killed
            readers[key].say(pod, paths[key], content=message("create", key=key, seconds=seconds))

    def ended(key: str) -> tuple[str, int]:
        """Return how the answer ended, and how often its tool was called."""
        reader = readers[key]
        if reader.ending is None:
            reader.join(fleet.pods[-1], paths[key])
        assert reader.saw_each_event_once()
        assert reader.ending
        kind, data = reader.ending
        if kind == "complete":
            assert reader.text == f"create {key} is done, and here are some more words"
        else:
            assert "create of tool server tickets, which may have been made" in data["message"]
        return kind, fleet.server.calls(key)

    with ThreadPoolExecutor(ANSWERS) as threads:
        talking = threads.map(say, readers)
        eventually(lambda: all(reader.ids for reader in readers.values()))
        eventually(lambda: sum(fleet.server.calls(key) for key in readers) >= ANSWERS // 2)
        pod.program.kill()
        list(talking)
        outcomes = list(threads.map(ended, readers))
    assert {kind for kind, _ in outcomes} == {"complete", "error"}
    assert all(calls == 1 for kind, calls in outcomes if kind == "complete")
    assert all(calls <= 1 for _, calls in outcomes)
