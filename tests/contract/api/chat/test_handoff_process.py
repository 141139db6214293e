"""Agents of real pods that hand over: seen by clients of each dialect as one answer, also when the pod is killed."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from chatfleet_contract.runtime import RuntimeAgents, RuntimeConfig, RuntimeMember, RuntimeSupervisor
from chatfleet_contract.spec.agents import Route
from chatfleet_contract.spec.providers import Model
from harness.clients.reader import Reader, begin
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.redis.server import redis_server

MODELS = {"router": "router", "clerk": "tools", "engineer": "count-9/3", "archivist": "instructions"}
BILLING = RuntimeMember(
    name="billing",
    description="invoices",
    model="clerk",
    instructions="Bill.",
    route=Route(when_contains=["invoice"]),
    handoffs=("technical", "policy"),
)
TECHNICAL = RuntimeMember(name="technical", description="crashes", model="engineer", instructions="Count.")
POLICY = RuntimeMember(name="policy", description="privacy", model="archivist", instructions="Quote the terms.")
START_AND_BOTH = 3
OWN: Any = {"type": "function", "function": {"name": "own", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ApiProcess]]:
    """Two pods; a test may kill the first."""
    folder = tmp_path_factory.mktemp("handoffs")
    served: RuntimeConfig = scripted("echo").model_copy(
        update={
            "models": tuple(Model(name=name, provider="scripted", model=model) for name, model in MODELS.items()),
            "agents": RuntimeAgents(supervisor=RuntimeSupervisor(model="router"), members=(BILLING, TECHNICAL, POLICY)),
            "redis_url_file": str(folder / "redis"),
        }
    )
    with redis_server(folder) as url:
        (folder / "redis").write_text(url)
        with api_process(folder, served) as first, api_process(folder, served) as second:
            yield [first, second]


def asks(for_: str, reason: str) -> str:
    """Return a message on which billing hands over."""
    return f"My invoice\ntransfer_to_{for_} {json.dumps({'reason': reason})}"


def agents(reader: Reader) -> list[dict[str, str]]:
    found = [json.loads(line.removeprefix("data: ")) for line in reader.lines if line.startswith("data: ")]
    return [{"name": event["name"], "reason": event["reason"]} for event in found if event["type"] == "agent"]


@pytest.mark.feature(29)
def test_the_next_member_answers_and_keeps_the_conversation(pods: list[ApiProcess]) -> None:
    reader, conversation = Reader(), begin(pods[1])
    reader.say(pods[1], conversation, content=asks("policy", "It is about the terms."))
    assert agents(reader) == [
        {"name": "billing", "reason": "The message contains 'invoice'."},
        {"name": "policy", "reason": "It is about the terms."},
    ]
    assert reader.ending
    assert (reader.text, reader.ending[0]) == ("Quote the terms.", "complete")
    parts, whole = reader.ending[1]["agents"], reader.ending[1]["usage"]
    assert [part["name"] for part in parts] == ["billing", "policy"]
    assert sum(part["usage"]["total_tokens"] for part in parts) == whole["total_tokens"]
    assert fetch(f"{pods[1].url}{conversation}").json["messages"][-1]["agents"] == parts
    next_turn = fetch(f"{pods[1].url}{conversation}/messages", {"content": "And then?"}).json["message"]
    assert next_turn["model"] == "agent:policy"
    models = [each["model"] for each in fetch(f"{pods[1].url}{conversation}").json["messages"] if each["model"]]
    assert models == ["agent:policy", "agent:policy"]


def test_clients_of_vendors_see_no_call_beside_their_own_tools(pods: list[ApiProcess]) -> None:
    asked: Any = [{"role": "user", "content": asks("policy", "Terms.")}]
    with openai.OpenAI(base_url=f"{pods[1].url}/v1", api_key="none", max_retries=0) as client:
        whole = client.chat.completions.create(model="agent", messages=asked, tools=[OWN])
        with client.responses.stream(model="agent", input=asked[0]["content"]) as stream:
            response = stream.until_done().get_final_response()
        kept = client.responses.retrieve(response.id)
        own = client.chat.completions.create(
            model="agent:billing", messages=[{"role": "user", "content": "own {}"}], tools=[OWN]
        )
    with anthropic.Anthropic(base_url=pods[1].url, api_key="none", max_retries=0) as client_of_messages:
        message = client_of_messages.messages.create(model="agent", max_tokens=99, messages=asked)
    (choice,) = whole.choices
    assert (whole.model, choice.finish_reason, choice.message.tool_calls) == ("agent:policy", "stop", None)
    assert (response.model, kept.model, [item.type for item in response.output]) == (
        *("agent:policy", "agent:policy"),
        ["message"],
    )
    assert (message.model, [block.type for block in message.content]) == ("agent:policy", ["text"])
    assert choice.message.content == response.output_text == "Quote the terms."
    calls = own.choices[0].message.tool_calls or []
    assert [(call.type, call.type == "function" and call.function.name) for call in calls] == [("function", "own")]


@pytest.mark.feature(29)
def test_a_pod_that_is_killed_after_a_hand_over_leaves_it_to_the_next_member_elsewhere(pods: list[ApiProcess]) -> None:
    """The model of the next member begins to answer after three seconds."""
    first, second = pods
    reader, conversation = Reader(), begin(first)
    reader.say(first, conversation, tokens=START_AND_BOTH - 1, content=asks("technical", "It crashes."))
    first.program.kill()
    reader.join(second, conversation)
    assert reader.saw_each_event_once()
    assert [each["name"] for each in agents(reader)] == ["billing", "technical"]
    assert (reader.text, reader.ending and reader.ending[0]) == ("1 2 3 4 5 6 7 8 9", "complete")
    *_, kept = fetch(f"{second.url}{conversation}").json["messages"]
    assert (kept["model"], kept["status"], kept["content"]) == ("agent:technical", "complete", "1 2 3 4 5 6 7 8 9")
    grouped = fetch(f"{second.url}/api/v1/usage?group_by=model").json
    assert {"clerk", "engineer", "archivist"} <= {row["model"] for row in grouped["data"]}
