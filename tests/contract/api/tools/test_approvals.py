"""Calls that need approval, of a real MCP server: never made before it, and once after it, wherever it comes from."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from openai.types.responses.response_output_item import McpApprovalRequest, McpCall

from chatfleet_contract.runtime import RuntimeConfig, RuntimeToolServer
from chatfleet_contract.spec.providers import Model
from harness.clients.reader import Reader, begin
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import Answer, ApiProcess, fetch, scripted
from harness.pods.tool_fleet import ToolFleet, tool_fleet
from harness.polling import eventually
from harness.upstream.mcp_server import McpServerProcess

pytestmark = pytest.mark.lasts(35)

MODEL = Model(name="default", provider="scripted", model="tools@20", tools=["tickets", "docs"])
GUIDE = Path(__file__).parents[4] / "docs/guide/tools.md"
REFUSED = "The tool was not called. A person has refused this call."


def config(folder: Path, redis_url: str, server: McpServerProcess) -> RuntimeConfig:
    (folder / "redis").write_text(redis_url)
    tickets = RuntimeToolServer(name="tickets", url=server.url, allow=("create",), approve="always")
    docs = RuntimeToolServer(name="docs", url=server.url, allow=("search",))
    changed = {"models": (MODEL,), "tool_servers": (tickets, docs), "egress": LOOPBACK_EGRESS}
    return scripted("echo").model_copy(update={**changed, "redis_url_file": str(folder / "redis")})


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolFleet]:
    """Four pods on one Redis, with a tool server; a test may kill the first that runs."""
    with tool_fleet(tmp_path_factory.mktemp("approvals"), config, 4) as fleet:
        yield fleet


def create(key: str, **more: object) -> str:
    return f"tickets__create {json.dumps({'key': key, **more})}"


def paused(pod: ApiProcess, content: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the path of a conversation whose answer waits, and its calls."""
    conversation = begin(pod)
    message = fetch(f"{pod.url}{conversation}/messages", {"content": content}).json["message"]
    assert (message["status"], message["finish_reason"]) == ("complete", "requires_action")
    return conversation, message["requires_action"]


def decide(pod: ApiProcess, conversation: str, calls: list[dict[str, Any]], *, approve: bool, **more: object) -> Answer:
    approvals = [{"approval_request_id": call["approval_request_id"], "approve": approve, **more} for call in calls]
    return fetch(f"{pod.url}{conversation}/approvals", {"approvals": approvals})


def test_a_call_waits_for_approval_and_is_made_once_at_whichever_pod_and_however_often_it_comes(
    fleet: ToolFleet,
) -> None:
    one, other = fleet.pods[-1], fleet.pods[-2]
    reader, conversation = Reader(), begin(one)
    reader.say(one, conversation, content=create("approved"))
    names = [line.removeprefix("event: ") for line in reader.lines if line.startswith("event: ")]
    assert names == ["start", "requires_action", "complete"]
    shown = fetch(f"{one.url}{conversation}").json["messages"][-1]
    (call,) = shown["requires_action"]
    assert (call["server"], call["tool"], call["arguments"]) == ("tickets", "create", '{"key": "approved"}')
    assert fleet.server.calls("approved") == 0

    made = [decide(pod, conversation, [call], approve=True) for pod in (other, other, one)]
    assert [answer.status for answer in made] == [200, 200, 200]
    message = made[0].json["message"]
    assert message["content"] == "create approved is done, and here are some more words"
    assert {answer.json["message"]["id"] for answer in made} == {message["id"]}
    assert fleet.server.calls("approved") == 1

    listed = fetch(f"{one.url}{conversation}").json["messages"]
    assert [each["role"] for each in listed] == ["user", "assistant", "tool", "assistant"]
    assert not any(each.get("requires_action") for each in listed)
    otherwise = decide(one, conversation, [call], approve=False)
    assert (otherwise.status, otherwise.json["code"]) == (400, "invalid_request")
    assert fleet.server.calls("approved") == 1


def test_decisions_that_come_at_once_make_one_call(fleet: ToolFleet) -> None:
    conversation, calls = paused(fleet.pods[-1], create("at once"))
    with ThreadPoolExecutor(8) as threads:
        pods = [fleet.pods[-1 - number % 2] for number in range(8)]
        made = [*threads.map(lambda pod: decide(pod, conversation, calls, approve=True), pods)]
    assert {answer.status for answer in made} == {200}
    assert len({answer.json["message"]["id"] for answer in made}) == 1
    assert fleet.server.calls("at once") == 1


def test_a_pause_outlives_its_pod(fleet: ToolFleet) -> None:
    pod = fleet.pods.pop(0)
    conversation, calls = paused(pod, create("outlived"))
    pod.program.kill()
    made = decide(fleet.pods[-1], conversation, calls, approve=True)
    assert made.json["message"]["content"] == "create outlived is done, and here are some more words"
    assert fleet.server.calls("outlived") == 1


def test_an_approved_call_that_may_have_been_made_is_not_made_again(fleet: ToolFleet) -> None:
    pod = fleet.pods.pop(0)
    conversation, calls = paused(pod, create("doubtful", seconds=3))
    with ThreadPoolExecutor(1) as threads:
        deciding = threads.submit(decide, pod, conversation, calls, approve=True)
        eventually(lambda: fleet.server.calls("doubtful") > 0)
        pod.program.kill()
        assert deciding.exception() is not None
    again = decide(fleet.pods[-1], conversation, calls, approve=True)
    assert (again.status, again.json["code"]) == (503, "interrupted")
    assert "which may have been made" in again.json["message"]
    assert fleet.server.calls("doubtful") == 1


def test_a_refused_call_is_never_made_and_its_model_goes_on(fleet: ToolFleet) -> None:
    conversation, calls = paused(fleet.pods[-1], create("refused"))
    message = decide(fleet.pods[-1], conversation, calls, approve=False, reason="Too dear.").json["message"]
    assert message["content"] == f"{REFUSED} Reason: Too dear."
    assert fleet.server.calls("refused") == 0


def test_calls_of_a_step_wait_together(fleet: ToolFleet) -> None:
    pod, search = fleet.pods[-1], f"docs__search {json.dumps({'key': 'beside'})}"
    conversation, calls = paused(pod, f"{create('waiting')}\n{search}")
    assert [call["tool"] for call in calls] == ["create"]
    assert (fleet.server.calls("waiting"), fleet.server.calls("beside")) == (0, 0)
    text = decide(pod, conversation, calls, approve=True).json["message"]["content"]
    assert text.startswith("create waiting is done")
    assert "search beside is done" in text
    assert (fleet.server.calls("waiting"), fleet.server.calls("beside")) == (1, 1)


def test_another_message_ends_the_pause_and_what_does_not_wait_cannot_be_told_apart(fleet: ToolFleet) -> None:
    pod = fleet.pods[-1]
    conversation, calls = paused(pod, create("passed"))
    elsewhere, _ = paused(pod, create("elsewhere"))
    foreign = decide(pod, elsewhere, calls, approve=True)
    assert fetch(f"{pod.url}{conversation}/messages", {"content": "Never mind."}).status == 200
    late = decide(pod, conversation, calls, approve=True)
    unknown = decide(pod, conversation, [{"approval_request_id": "mcpar_none"}], approve=True)
    for answer in (foreign, late, unknown):
        assert (answer.status, answer.json["code"]) == (404, "not_found")
        assert answer.json["message"] == late.json["message"]
    assert fleet.server.calls("passed") == 0


def test_what_was_removed_after_a_decision_does_not_renew_the_pause(fleet: ToolFleet) -> None:
    pod = fleet.pods[-1]
    conversation, calls = paused(pod, create("removed"))
    assert decide(pod, conversation, calls, approve=True).status == 200
    with client_of(pod) as client:
        ident = f"conv_{conversation.rsplit('/', 1)[1]}"
        items = [*client.conversations.items.list(ident, order="asc")]
        for item in items[2:4]:  # the decision, and the answer with its call
            assert item.id
            client.conversations.items.delete(item.id, conversation_id=ident)
    assert decide(pod, conversation, calls, approve=True).status == 404
    assert fleet.server.calls("removed") == 1


def test_answers_that_are_not_stored_refuse_such_calls(fleet: ToolFleet) -> None:
    pod, asked = fleet.pods[-1], {"model": "default", "messages": [{"role": "user", "content": create("unstored")}]}
    answer = fetch(f"{pod.url}/v1/chat/completions", asked).json["choices"][0]
    assert (answer["finish_reason"], "tool_calls" in answer["message"]) == ("stop", False)
    assert "need the approval of a person" in answer["message"]["content"]
    with client_of(pod) as client:
        unstored = client.responses.create(model="default", input=create("unstored"), store=False)
    assert "need the approval of a person" in unstored.output_text
    assert fleet.server.calls("unstored") == 0


def client_of(pod: ApiProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{pod.url}/v1", api_key="x", max_retries=0)


def test_the_sdk_of_openai_approves_by_an_item(fleet: ToolFleet) -> None:
    with client_of(fleet.pods[-1]) as client, client_of(fleet.pods[-2]) as other:
        with client.responses.create(model="default", input=create("by item"), stream=True) as stream:
            seen = [*stream]
        kinds = [event.type for event in seen]
        assert kinds[2:] == ["response.output_item.added", "response.output_item.done", "response.completed"]
        first = client.responses.retrieve(seen[-1].response.id)
        (request,) = first.output
        assert isinstance(request, McpApprovalRequest)
        assert (first.status, request.server_label, request.name) == ("completed", "tickets", "create")
        assert json.loads(request.arguments) == {"key": "by item"}
        assert fleet.server.calls("by item") == 0

        second, again = (approved(each, first, request) for each in (other, client))
        call, message = second.output
        assert isinstance(call, McpCall)
        assert (call.approval_request_id, call.status) == (request.id, "completed")
        assert message.type == "message"
        assert second.output_text == "create by item is done, and here are some more words"
        assert (again.id, again.output) == (second.id, second.output)
        assert fleet.server.calls("by item") == 1
        then = 'docs__search {"key": "then"}'
        third = client.responses.create(model="default", input=then, previous_response_id=second.id)
        assert third.output_text.startswith("search then is done")


def approved(client: openai.OpenAI, first: Response, request: McpApprovalRequest, **more: Any) -> Response:  # noqa: ANN401
    item: Any = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    asked = {"model": "default", "input": [item], "previous_response_id": first.id, **more}
    response: Response = client.responses.create(**asked)
    return response


def test_an_approval_by_item_names_the_response_that_waits_and_comes_alone(fleet: ToolFleet) -> None:
    with client_of(fleet.pods[-1]) as client:
        first = client.responses.create(model="default", input=create("alone"))
        (request,) = first.output
        assert isinstance(request, McpApprovalRequest)
        other = client.responses.create(model="default", input='docs__search {"key": "alone too"}')
        for wrong in (
            {"previous_response_id": None},
            {"store": False},
            {"input": [{"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}, HELLO]},
            {"previous_response_id": other.id},
        ):
            with pytest.raises(openai.APIStatusError) as refused:
                approved(client, first, request, **wrong)
            assert refused.value.status_code in (400, 404)
        assert fleet.server.calls("alone") == 0
        conversation = client.conversations.create()
        inside = client.responses.create(model="default", input=create("inside"), conversation=conversation.id)
        (waiting,) = inside.output
        assert isinstance(waiting, McpApprovalRequest)
        assert approved(client, inside, waiting).output_text.startswith("create inside is done")
        kinds = [item.type for item in client.conversations.items.list(conversation.id, order="asc")]
        assert kinds == ["message", "mcp_approval_request", "mcp_approval_response", "mcp_call", "message"]


HELLO = {"type": "message", "role": "user", "content": "Hello"}


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_guide_approve_a_call(fleet: ToolFleet, number: int) -> None:
    example = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[number]
    program = example.replace("http://support.shop.svc", fleet.pods[-1].url)
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    key = ("VPN is down", "VPN is down again")[number]
    assert done.stdout.endswith(f"create {key} is done, and here are some more words\n")
    assert fleet.server.calls(key) == 1
