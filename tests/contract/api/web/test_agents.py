"""The support desk of the examples as a process: official SDKs, our own events, and instructions that change live."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import yaml

from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children.config import runtime_config
from chatfleet_operator.children.labels import Owner
from chatfleet_operator.model.values import Ref
from harness.net import LOOPBACK, LOOPBACK_EGRESS, free_port, is_open
from harness.pods.api_process import ApiProcess, api_process, fetch
from harness.polling import eventually
from harness.process import await_ready, started

EXAMPLE = Path(__file__).parents[4] / "examples" / "14-support-desk"
PAYMENT = "I want my payments back"


def example(name: str) -> Any:  # noqa: ANN401  # YAML
    return yaml.safe_load((EXAMPLE / name).read_text())


def desk(folder: Path, **changed: str) -> RuntimeConfig:
    """Return what the operator would serve for the example, with its documents below `folder`."""
    spec = ChatDeploymentSpec.model_validate(example("chatdeployment.yaml")["spec"])
    built = runtime_config(Owner(Ref("shop", "desk"), "uid"), spec, None, example("prompts.yaml")["data"] | changed)
    return built.model_copy(update={"redis_url_file": None, "knowledge_folder": str(folder), "egress": LOOPBACK_EGRESS})


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the tool server of the example."""
    port = free_port()
    command = (sys.executable, str(EXAMPLE / "orders.py"), str(port))
    with started("orders", command, folder=tmp_path_factory.mktemp("orders")) as program:
        await_ready(program, lambda: is_open(port))
        yield f"http://{LOOPBACK}:{port}/mcp"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, orders: str) -> Iterator[ApiProcess]:
    folder = tmp_path_factory.mktemp("desk")
    documents = example("documents.yaml")
    (folder / documents["metadata"]["name"]).mkdir()
    for key, text in documents["data"].items():
        (folder / documents["metadata"]["name"] / key).write_text(text)
    served = desk(folder)
    (server,) = served.tool_servers
    served = served.model_copy(update={"tool_servers": (server.model_copy(update={"url": orders}),)})
    with api_process(folder, served) as running:
        yield running


@pytest.fixture(scope="module")
def client(api: ApiProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]


@pytest.mark.feature(29)
def test_agents_are_listed_as_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:5] == ["agent", "agent:billing", "agent:technical", "agent:orders", "agent:policy"]


def test_chat_completions_name_the_member(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="agent", messages=[{"role": "user", "content": PAYMENT}])
    assert (whole.model, whole.choices[0].message.content) == (
        "agent:billing",
        example("prompts.yaml")["data"]["billing"],
    )
    with client.chat.completions.stream(model="agent", messages=[{"role": "user", "content": PAYMENT}]) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        assert stream.get_final_completion().choices[0].message.content == whole.choices[0].message.content
    assert {chunk.model for chunk in chunks[1:]} == {"agent:billing"}


def test_responses_and_what_is_stored_of_them_name_the_member(client: openai.OpenAI) -> None:
    with client.responses.stream(model="agent", input=PAYMENT) as stream:
        final = stream.until_done().get_final_response()
    assert final.model == "agent:billing"
    assert client.responses.retrieve(final.id).model == "agent:billing"
    followed = client.responses.create(model="agent", input="Why is that?", previous_response_id=final.id)
    assert (followed.model, followed.output_text) == ("agent:billing", final.output_text)


def test_messages_name_the_member(api: ApiProcess) -> None:
    with anthropic.Anthropic(base_url=api.url, api_key="none", max_retries=0) as client:
        whole = client.messages.create(
            model="agent", max_tokens=99, messages=[{"role": "user", "content": "Your privacy and data protection?"}]
        )
        with client.messages.stream(
            model="agent:policy", max_tokens=99, messages=[{"role": "user", "content": "Hello"}]
        ) as stream:
            streamed = stream.get_final_message()
    assert (whole.model, streamed.model) == ("agent:policy", "agent:policy")
    texts = [block.text for message in (whole, streamed) for block in message.content if block.type == "text"]
    assert texts == [example("prompts.yaml")["data"]["policy"]] * 2


@pytest.mark.feature(17, 29)
def test_a_session_announces_the_agent_before_the_first_token_and_cites(api: ApiProcess) -> None:
    found = events(fetch(f"{api.url}/chat", {"message": "What does E42 mean?"}).body)
    kinds = [event["type"] for event in found]
    assert kinds[:3] == ["start", "agent", "token"]
    assert found[1] == {"type": "agent", "name": "technical", "reason": "The message contains 'E42'."}
    assert "clock" in "".join(event["text"] for event in found if event["type"] == "token")
    assert [each["source"] for each in found[-1]["citations"]] == ["desk-documents/errors.md"]


def test_a_member_of_the_example_hands_over(api: ApiProcess) -> None:
    readme = (EXAMPLE / "README.md").read_text()
    (asked,) = re.findall(r"^\$ ask '(.*transfer_to_billing.*)'$", readme, re.MULTILINE)
    found = events(fetch(f"{api.url}/chat", json.loads(asked)).body)
    agents = [(event["name"], event["reason"]) for event in found if event["type"] == "agent"]
    assert [name for name, _ in agents] == ["orders", "billing"]
    assert agents[1][1] == "It is about a refund."
    said = "".join(event["text"] for event in found if event["type"] == "token")
    assert (said, found[-1]["type"]) == (example("prompts.yaml")["data"]["billing"], "complete")


def test_the_client_of_the_example_shows_routing_citations_and_a_tool_call(api: ApiProcess) -> None:
    questions = (PAYMENT, "And when?", "The display shows E42", "What is the state of order 1007?")
    client = subprocess.run(
        [sys.executable, EXAMPLE / "client.py", api.url, *questions], capture_output=True, text=True, check=False
    )
    assert client.returncode == 0, client.stdout + client.stderr
    assert re.findall(r"^  agent    (\w+): ", client.stdout, re.MULTILINE) == [
        "billing",
        "billing",
        "technical",
        "orders",
    ]
    assert re.findall(r"^  source   (.+)$", client.stdout, re.MULTILINE) == ["desk-documents/errors.md"]
    assert "The device has lost its clock." in client.stdout
    assert re.search(r'^  call     status of orders: \{"order": 1007\}$', client.stdout, re.MULTILINE)
    assert client.stdout.count("Order 1007 is at the door.") == 2  # the tool's result, and the answer that repeats it


def test_our_own_apis_take_an_agent_or_a_model(api: ApiProcess) -> None:
    conversation = fetch(f"{api.url}/api/v1/conversations", {}).json["id"]
    messages = f"{api.url}/api/v1/conversations/{conversation}/messages"
    answered = fetch(messages, {"content": PAYMENT, "agent": "policy"}).json["message"]
    both = fetch(messages, {"content": PAYMENT, "agent": "policy", "model": "agent"})
    unknown = fetch(messages, {"content": PAYMENT, "agent": "nobody"})
    assert (answered["model"], answered["status"]) == ("agent:policy", "complete")
    assert (both.status, both.json["param"]) == (400, "agent")
    assert (unknown.status, unknown.json["code"]) == (404, "model_not_found")


def test_other_dialects_name_the_agent_in_their_own_way(api: ApiProcess) -> None:
    run = {"threadId": "t", "runId": "r", "state": {}, "tools": [], "context": [], "forwardedProps": {"model": "agent"}}
    asked = {"id": "1", "role": "user", "content": PAYMENT}
    found = events(fetch(f"{api.url}/api/v1/ag-ui", run | {"messages": [asked]}).body)
    custom = [event for event in found if event["type"] == "CUSTOM"]
    assert [(event["name"], event["value"]["name"]) for event in custom] == [("agent", "billing")]


@pytest.mark.feature(29)
@pytest.mark.timed
def test_new_instructions_are_there_within_seconds(api: ApiProcess, client: openai.OpenAI) -> None:
    folder = api.log.parent
    (folder / "runtime.json").write_text(desk(folder, policy="Say nothing.").render())

    def answer() -> str | None:
        asked = client.chat.completions.create(model="agent:policy", messages=[{"role": "user", "content": "Hi"}])
        return asked.choices[0].message.content

    eventually(lambda: answer() == "Say nothing.", seconds=5)
