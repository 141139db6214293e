"""What is begun on one pod is joined, resumed, cancelled, repeated and kept in turn on another: as real processes."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from chatfleet_contract.runtime import RuntimeConfig
from harness.clients.reader import Reader, begin
from harness.pods.api_process import Answer, ApiProcess, api_process, fetch, scripted
from harness.polling import eventually
from harness.redis.server import redis_server

pytestmark = pytest.mark.lasts(40)

TURNS = 100
"""Answers that are read again as soon as they have ended, of each kind and on each pod."""
READERS = 4
"""Clients that do so at a time."""
WORDS = " ".join(str(number) for number in range(1, 31))
"""The answer of the model `slow`, 20 words a second."""


class Pods(NamedTuple):
    a: ApiProcess
    b: ApiProcess


@pytest.fixture(scope="module", params=[True])
def pods(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Pods]:
    """Two pods; on one Redis, or, for control, each with everything in its own memory."""
    folder: Path = tmp_path_factory.mktemp("pods")
    with redis_server(folder) as url:
        (folder / "url").write_text(url)
        shared = {"redis_url_file": str(folder / "url") if request.param else None}
        config = RuntimeConfig.model_validate(scripted("slow", "count").model_dump() | shared)
        with api_process(folder, config) as a, api_process(folder, config) as b:
            yield Pods(a, b)


def send(pod: ApiProcess, path: str, body: object, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/json"}
    request = urllib.request.Request(pod.url + path, json.dumps(body).encode(), named)  # noqa: S310  # http
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # http
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def say(pod: ApiProcess, conversation: str, reader: Reader) -> Thread:
    """Ask for an answer, and return when some of it has come."""
    thread = Thread(target=reader.say, args=(pod, conversation))
    thread.start()
    eventually(lambda: len(reader.ids) > 3)
    return thread


def events(pod: ApiProcess, path: str) -> list[dict[str, Any]]:
    lines = fetch(pod.url + path).body.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def test_a_stream_is_joined_on_another_pod_from_its_start_and_from_its_midst(pods: Pods) -> None:
    here, joined, conversation = Reader(), Reader(), begin(pods.a)
    thread = say(pods.a, conversation, here)
    late = Reader()
    late.ids = here.ids[:3]
    with ThreadPoolExecutor(2) as threads:
        for reading in [threads.submit(each.join, pods.b, conversation) for each in (joined, late)]:
            reading.result()
    thread.join()
    assert here.text == joined.text == WORDS
    assert here.ids == joined.ids == late.ids
    assert [each.ending and each.ending[0] for each in (here, joined, late)] == ["complete"] * 3


def test_a_response_is_resumed_on_another_pod_behind_the_event_that_was_seen(pods: Pods) -> None:
    made = send(pods.a, "/v1/responses", {"model": "slow", "input": "hi", "background": True}).json
    whole = events(pods.a, f"/v1/responses/{made['id']}?stream=true")
    assert whole[-1]["type"] == "response.completed"
    made = send(pods.a, "/v1/responses", {"model": "slow", "input": "hi", "background": True}).json
    rest = events(pods.b, f"/v1/responses/{made['id']}?stream=true&starting_after=9")
    assert [event["sequence_number"] for event in rest] == list(range(10, 10 + len(rest)))
    assert rest[-1]["type"] == "response.completed"
    assert rest[-1]["sequence_number"] == whole[-1]["sequence_number"]


def test_an_answer_is_cancelled_from_another_pod(pods: Pods) -> None:
    reader, conversation = Reader(), begin(pods.a)
    thread = say(pods.a, conversation, reader)
    assert send(pods.b, f"{conversation}/cancel", {}).status == 202
    thread.join()
    assert reader.ending
    assert (reader.ending[0], reader.ending[1]["code"]) == ("error", "cancelled")
    assert len(reader.text) < len(WORDS)


@pytest.mark.parametrize("place", ["thread", "chain", "conversation"])
def test_a_response_that_is_requested_twice_of_two_pods_is_made_once(pods: Pods, place: str) -> None:
    """Whoever comes second joins it, or gets it when it has ended; so does who comes after all that."""
    body: dict[str, Any] = {"model": "slow", "input": "hi"}
    if place == "chain":
        body["previous_response_id"] = send(pods.a, "/v1/responses", {"model": "count", "input": "hi"}).json["id"]
    elif place == "conversation":
        body["conversation"] = send(pods.a, "/v1/conversations", {}).json["id"]
    key = f"twice-{place}"
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(send, pod, "/v1/responses", body, Idempotency_Key=key) for pod in (*pods, *pods)]
        answers = [each.result() for each in asked]
    answers += [send(pod, "/v1/responses", body, Idempotency_Key=key) for pod in pods]
    assert [answer.status for answer in answers] == [200] * 6
    assert all(answer.json == answers[0].json for answer in answers)
    assert answers[0].json["output"][0]["content"][0]["text"] == WORDS
    other = send(pods.b, "/v1/responses", {**body, "input": "ho"}, Idempotency_Key=key)
    assert (other.status, other.json["error"]["code"]) == (422, "idempotency_mismatch")


def test_a_response_with_a_key_waits_for_a_client_that_lost_its_connection(pods: Pods) -> None:
    body = {"model": "slow", "input": "hi", "stream": True}
    headers = {"Content-Type": "application/json", "Idempotency-Key": "lost"}
    request = urllib.request.Request(f"{pods.a.url}/v1/responses", json.dumps(body).encode(), headers)  # noqa: S310  # http
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # http
        assert response.readline() == b"event: response.created\n"
    again = send(pods.b, "/v1/responses", body, Idempotency_Key="lost").body.decode().splitlines()
    last = json.loads(again[-2].removeprefix("data: "))
    assert last["type"] == "response.completed"
    assert last["response"]["output"][0]["content"][0]["text"] == WORDS


def test_a_message_that_comes_twice_to_two_pods_is_answered_once(pods: Pods) -> None:
    conversation, body = begin(pods.a), {"content": "hi", "model": "slow"}
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(send, pod, f"{conversation}/messages", body, Idempotency_Key="k") for pod in pods]
        first, second = [each.result() for each in asked]
    assert (first.status, second.status) == (200, 200)
    assert first.json["message"]["id"] == second.json["message"]["id"]
    assert len(fetch(f"{pods.a.url}{conversation}/messages").json["messages"]) == 2
    assert send(pods.b, f"{conversation}/messages", {"content": "no"}, Idempotency_Key="k").status == 422


def test_without_a_key_a_message_that_comes_twice_is_answered_twice(pods: Pods) -> None:
    """The control of the one above."""
    conversation, body = begin(pods.a), {"content": "hi", "model": "slow", "on_busy": "enqueue"}
    first, second = [send(pod, f"{conversation}/messages", body).json["message"]["id"] for pod in pods]
    assert first != second
    assert len(fetch(f"{pods.a.url}{conversation}/messages").json["messages"]) == 4


@pytest.mark.parametrize(
    ("on_busy", "status", "statuses"),
    [
        ("reject", 409, ["complete"]),
        ("enqueue", 200, ["complete", "complete"]),
        ("interrupt", 200, ["cancelled", "complete"]),
    ],
)
def test_a_message_to_another_pod_meets_the_answer_that_is_being_written(
    pods: Pods, on_busy: str, status: int, statuses: list[str]
) -> None:
    reader, conversation = Reader(), begin(pods.a)
    thread = say(pods.a, conversation, reader)
    answer = send(pods.b, f"{conversation}/messages", {"content": "next", "on_busy": on_busy})
    thread.join()
    assert answer.status == status
    kept = fetch(f"{pods.b.url}{conversation}/messages").json["messages"]
    assert [message["status"] for message in kept if message["role"] == "assistant"] == statuses


def respond(pod: ApiProcess, body: dict[str, Any]) -> tuple[str, str]:
    """Return the id and the status of a response, as its own request shows them."""
    sent = send(pod, "/v1/responses", {"model": "count", "input": "hi"} | body)
    if not body.get("stream"):
        return sent.json["id"], sent.json["status"]
    *_, last = (line for line in sent.body.decode().splitlines() if line.startswith("data: {"))
    response = json.loads(last.removeprefix("data: "))["response"]
    return response["id"], response["status"]


@pytest.mark.parametrize("body", [{}, {"stream": True}, {"stream": True, "background": True}], ids=str)
@pytest.mark.parametrize("pod", [0, 1], ids=["same pod", "other pod"])
def test_who_has_seen_the_end_of_a_response_retrieves_it_as_ended(pods: Pods, body: dict[str, Any], pod: int) -> None:
    def turn(_: int) -> tuple[str, str, str]:
        response, status = respond(pods.a, body)
        kept = fetch(f"{pods[pod].url}/v1/responses/{response}").json
        return status, kept["status"], kept["output"][0]["content"][0]["text"]

    with ThreadPoolExecutor(READERS) as threads:
        seen = [*threads.map(turn, range(TURNS))]
    assert set(seen) == {("completed", "completed", "1 2 3 4 5")}


def test_a_chain_goes_on_at_every_pod_at_once(pods: Pods) -> None:
    """The scripted model counts the words that it gets: what it was asked and what it answered, from the first on."""
    previous, counted = None, []
    for number in range(TURNS):
        body = {"model": "count", "input": "hi", "previous_response_id": previous}
        made = send(pods[number % 2], "/v1/responses", body).json
        previous = made["id"]
        counted.append(made["usage"]["input_tokens"])
    assert counted == [1 + 6 * number for number in range(TURNS)]


@pytest.mark.parametrize("pod", [0, 1], ids=["same pod", "other pod"])
def test_who_has_seen_the_end_of_an_answer_finds_it_in_the_conversation(pods: Pods, pod: int) -> None:
    def turn(number: int) -> tuple[str, int]:
        conversation = begin(pods.a)
        body = {"content": "hi", "model": "count", "stream": number % 2 == 0}
        assert send(pods.a, f"{conversation}/messages", body).status == 200
        kept = fetch(f"{pods[pod].url}{conversation}/messages").json["messages"]
        return kept[-1]["status"], send(pods[pod], f"{conversation}/messages", body).status

    with ThreadPoolExecutor(READERS) as threads:
        seen = [*threads.map(turn, range(TURNS))]
    assert set(seen) == {("complete", 200)}


@pytest.mark.parametrize("pods", [False], indirect=True, ids=["nothing shared"])
def test_pods_that_share_nothing_know_nothing_of_each_other(pods: Pods) -> None:
    """The control of all above: it is Redis by which they do."""
    reader, conversation = Reader(), begin(pods.a)
    thread = say(pods.a, conversation, reader)
    assert fetch(f"{pods.b.url}{conversation}/stream").status == 404
    assert send(pods.b, f"{conversation}/cancel", {}).status == 404
    assert send(pods.b, f"{conversation}/messages", {"content": "next"}, Idempotency_Key="k").status == 404
    thread.join()
    assert reader.text == WORDS
