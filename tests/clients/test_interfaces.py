"""What user interfaces speak, by their packages: `useChat`, the agents of AG-UI and LibreChat, providers, streams."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from harness.clients.toolchains import Client
from harness.pods.balanced import Balanced

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

COUNT = " ".join(map(str, range(1, 41)))
TURNS = 20
KILLED_IN = 10


@pytest.fixture
def chat(built: Callable[[str], Client]) -> Client:
    return built("ai-sdk")


@pytest.fixture
def agent(built: Callable[[str], Client]) -> Client:
    return built("ag-ui")


async def test_a_chat_has_each_message_and_answer_once(chat: Client, fleet: Balanced) -> None:
    (seen,) = await chat.run("whole", fleet.url)
    assert seen["status"] == "ready"
    assert [each["role"] for each in seen["messages"]] == ["user", "assistant"] * 2
    assert [each["text"] for each in seen["messages"]] == ["Hello there"] * 2 + ["And again"] * 2
    assert len(set(seen["ids"])) == 4
    assert seen["metadata"]["usage"]["outputTokens"] > 0
    assert seen["metadata"]["model"] == "assistant"


async def test_a_message_is_read_from_its_stream(chat: Client, fleet: Balanced) -> None:
    (seen,) = await chat.run("reading", fleet.url)
    assert seen["role"] == "assistant"
    assert seen["parts"] == [{"type": "step-start"}, {"type": "text", "text": "Hello there", "state": "done"}]


async def test_a_page_that_is_reloaded_resumes_the_answer(chat: Client, fleet: Balanced) -> None:
    reloaded, unknown = await chat.run("reload", fleet.url)
    whole = {"status": "ready", "error": None, "messages": _messages("Count", COUNT)}
    assert reloaded == {"before": whole, "after": whole, "same": True}
    assert unknown == {"status": "ready", "messages": [], "error": None}


async def test_a_refusal_names_its_reason(chat: Client, fleet: Balanced) -> None:
    unknown, regenerated = await chat.run("refused", fleet.url)
    assert (unknown["status"], unknown["error"]["code"]) == ("error", "model_not_found")
    assert (regenerated["status"], regenerated["error"]["param"]) == ("error", "trigger")


async def test_no_turn_is_lost_when_a_pod_is_killed(chat: Client, fleet: Balanced) -> None:
    answers: list[Any] = []
    async for line in chat.lines("session", fleet.url):
        if "text" in line:
            answers.append(line)
        elif line["turn"] == KILLED_IN:
            await fleet.kill_busy()
    assert [each["text"] for each in answers] == [COUNT] * TURNS, json.dumps(answers)
    assert [each["messages"] for each in answers] == [2 * turn for turn in range(1, TURNS + 1)]
    assert [each["turn"] for each in answers if each["resumed"]] == [KILLED_IN]
    assert len(fleet.pods) == 1


async def test_an_agent_has_each_message_and_answer_once(agent: Client, fleet: Balanced) -> None:
    (seen,) = await agent.run("whole", fleet.url)
    assert seen["messages"] == _thread("Hello there") + _thread("And again")
    assert {"RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "RUN_FINISHED"} <= set(seen["types"])


async def test_an_agent_sees_the_reason_of_a_refusal(agent: Client, fleet: Balanced) -> None:
    assert await agent.run("refused", fleet.url) == [{"status": 404, "code": "model_not_found"}]


async def test_no_run_of_an_agent_is_lost_when_a_pod_is_killed(agent: Client, fleet: Balanced) -> None:
    answers: list[Any] = []
    async for line in agent.lines("session", fleet.url):
        if "text" in line:
            answers.append(line)
        elif line["turn"] == 2 and len(fleet.pods) > 1:  # the one between two others
            await fleet.kill_busy()
    assert [each["text"] for each in answers] == [COUNT] * 3
    assert [each["messages"] for each in answers] == [2, 4, 6]
    assert [each["resumed"] > 0 for each in answers] == [False, True, False]


@pytest.mark.parametrize("api", ["chat", "responses", "compatible", "messages"])
async def test_no_turn_of_a_provider_is_lost_when_a_pod_is_killed(
    built: Callable[[str], Client], fleet: Balanced, api: str
) -> None:
    answers: list[Any] = []
    async for line in built("providers").lines(api, fleet.url, str(TURNS)):
        if "text" in line:
            answers.append(line)
        elif len(fleet.pods) > 1:
            await fleet.kill_busy()
    assert [each["text"].split()[0] for each in answers] == [f"turn-{turn}" for turn in range(1, TURNS + 1)]
    assert {each["finish"] for each in answers} == {"stop"}
    assert [each["turn"] for each in answers if each["again"]] == [KILLED_IN]
    assert len(fleet.pods) == 1


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_no_turn_of_librechat_is_lost_when_a_pod_is_killed(
    built: Callable[[str], Client], fleet: Balanced, api: str
) -> None:
    answers: list[Any] = []
    async for line in built("librechat").lines(fleet.url, api, str(TURNS)):
        if "text" in line:
            answers.append(line)
        elif len(fleet.pods) > 1:
            await fleet.kill_busy()
    assert [each["text"].split()[0] for each in answers] == [f"turn-{turn}" for turn in range(1, TURNS + 1)]
    assert [each["kinds"] for each in answers] == [["ai", "tool", "ai"]] * TURNS
    assert [each["turn"] for each in answers if each["again"]] == [KILLED_IN]
    assert len(fleet.pods) == 1


@pytest.fixture
def reader(built: Callable[[str], Client]) -> Client:
    return built("durable-streams")


async def test_a_reader_has_each_event_once_in_every_mode(reader: Client, fleet: Balanced) -> None:
    seen = await reader.run("whole", fleet.url)
    assert [each["mode"] for each in seen] == [False, "long-poll", "sse", True]
    for each in seen:
        _require_whole(each)


async def test_a_reader_who_leaves_goes_on_at_its_offset(reader: Client, fleet: Balanced) -> None:
    (seen,) = await reader.run("resumed", fleet.url)
    assert _counted(seen["events"]) == COUNT
    assert seen["reads"] > 5


@pytest.mark.parametrize("live", ["long-poll", "sse"])
async def test_no_event_is_lost_or_doubled_when_a_pod_is_killed(reader: Client, fleet: Balanced, live: str) -> None:
    *_, seen = [line async for line in _killing(reader, fleet, live)]
    _require_whole(seen)
    assert seen["requests"] > 1
    assert len(fleet.pods) == 1


async def test_a_reader_sees_the_status_of_a_refusal(reader: Client, fleet: Balanced) -> None:
    assert await reader.run("refused", fleet.url) == [{"status": 404}, {"status": 400}]


async def _killing(reader: Client, fleet: Balanced, live: str) -> AsyncIterator[Any]:
    async for line in reader.lines("killed", fleet.url, live):
        if "streaming" in line:
            await fleet.kill_busy()
        yield line


def _require_whole(seen: Any) -> None:  # noqa: ANN401  # JSON
    """Fail unless a reader has every event of a run once, and knows that it has ended."""
    assert _counted(seen["events"]) == COUNT
    assert [int(each) for each in (seen["offset"], seen["metadata"]["offset"])] == [len(seen["events"])] * 2
    assert (seen["closed"], seen["metadata"]["streamClosed"]) == (True, True)


def _counted(events: list[Any]) -> str:
    assert [each["type"] for each in events] == ["start", *["token"] * (len(events) - 2), "complete"]
    return "".join(each.get("text", "") for each in events)


def _thread(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": text}]


def _messages(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "text": question}, {"role": "assistant", "text": answer}]
