"""Events reach a real receiver at least once, signed and in order, whatever becomes of it and of the pods."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest
import redis
from standardwebhooks import Webhook

from chatfleet_api.webhooks.request import REQUEST_SECONDS
from chatfleet_contract.names import ENV_POD_NAME
from chatfleet_contract.runtime import RuntimeConfig, RuntimeWebhook
from chatfleet_contract.spec.webhooks import WebhookEvent
from harness.clients.reader import Reader, begin
from harness.net import LOOPBACK, LOOPBACK_EGRESS, free_port
from harness.pods.administered import ADMINISTRATOR, AS_OPS, AS_WEB, secrets
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually
from harness.receiver import Got, Receiver, receiving

pytestmark = pytest.mark.lasts(50)

SECRETS: Final = [f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2)]
SENDER: Final = "chatfleet:{shop/support}:webhook-sender"
QUEUE: Final = "chatfleet:{shop/support}:webhook:crm"
BASE: Final = "/api/v1/conversations"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def configured(folder: Path, redis_url: str, url: str, *, content: bool = False) -> RuntimeConfig:
    (folder / "redis").write_text(redis_url)
    (folder / "signing").mkdir(exist_ok=True)
    (folder / "signing" / "first").write_text(SECRETS[0])
    hook = RuntimeWebhook(
        name="crm", url=url, events=tuple(WebhookEvent), secrets_folder=str(folder / "signing"), content=content
    )
    fields = {"redis_url_file": str(folder / "redis"), "webhooks": (hook,), "egress": LOOPBACK_EGRESS}
    return scripted("slow", "echo", "cut").model_copy(update=fields)


def conversation(pod: ApiProcess, user: str = "ann") -> str:
    return f"{pod.url}{BASE}/{fetch(pod.url + BASE, {'user_id': user}).json['id']}"


def say(path: str, model: str = "echo") -> str:
    """Send a message, and return the run that answers it."""
    fetch(f"{path}/messages", {"content": "secret words", "model": model})
    return str(fetch(f"{path}/messages").json["messages"][-1]["run"])


def ids(received: list[Got]) -> list[str]:
    return [each.id for each in received]


def sender(redis_url: str) -> str:
    with redis.Redis.from_url(redis_url) as client:
        return str((client.get(SENDER) or b"").decode().partition("/")[0])


def left(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(client.zcard(f"{QUEUE}:queue"))


@pytest.mark.feature(43, 47)
def test_events_are_signed_have_no_content_and_are_those_that_were_asked_for(
    tmp_path: Path, redis_url: str, receiver: Receiver
) -> None:
    with api_process(tmp_path, configured(tmp_path, redis_url, receiver.url)) as pod:
        path = conversation(pod)
        whole, cut = say(path), say(path, "cut")
        fetch(f"{path}/feedback", {"thumb": "up", "comment": "secret words"})
        fetch(f"{pod.url}/v1/chat/completions", {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]})
        eventually(lambda: len(receiver.accepted) == 3)
        (tmp_path / "signing" / "second").write_text(SECRETS[1])
        last = say(path)
        eventually(lambda: len(receiver.accepted) == 4)
        metrics = pod.health("/metrics").body.decode()
    events = [each.event for each in receiver.accepted]
    assert [each["type"] for each in events] == ["stream_complete", "run_interrupted", "feedback", "stream_complete"]
    assert [each["data"].get("run") for each in events] == [whole, cut, None, last]
    assert ids(receiver.accepted)[:2] == [f"msg_{whole}", f"msg_{cut}"]
    assert {each["data"]["chatdeployment"] for each in events} == {"shop/support"}
    assert {each["data"]["user_id"] for each in events} == {"ann"}
    assert (events[1]["data"]["error_code"], events[0]["data"]["usage"]["estimated"]) == ("upstream_truncated", False)
    assert b"secret words" not in b"".join(each.body for each in receiver.got)
    for each in receiver.accepted:
        assert Webhook(SECRETS[0]).verify(each.body, dict(each.headers)) == each.event
    Webhook(SECRETS[1]).verify(receiver.accepted[-1].body, dict(receiver.accepted[-1].headers))
    assert 'chatfleet_webhook_deliveries_total{outcome="delivered",webhook="crm"} 4.0' in metrics
    assert 'chatfleet_webhook_events{state="queued",webhook="crm"}' in metrics


def test_content_is_sent_where_it_is_asked_for_and_cancelled_answers_have_no_event(
    tmp_path: Path, redis_url: str, receiver: Receiver
) -> None:
    with api_process(tmp_path, configured(tmp_path, redis_url, receiver.url, content=True)) as pod:
        path = conversation(pod)
        say(path)
        eventually(lambda: len(receiver.accepted) == 1)
        fetch(f"{path}/feedback", {"rating": 1, "comment": "why"})
        eventually(lambda: len(receiver.accepted) == 2)
    answer, feedback = (each.event["data"] for each in receiver.accepted)
    assert ("secret words" in answer["content"], answer["content_truncated"]) == (True, False)
    assert (feedback["comment"], feedback["rating"]) == ("why", 1)


def failing(*faults: int) -> Callable[[str, int], int]:
    """Return what answers the first attempt at each event with one of these in turn, and acknowledges the next one.

    The first event of all is acknowledged, but later than a pod waits.
    """
    seen: dict[str, int] = {}

    def answer(ident: str, before: int) -> int:
        number = seen.setdefault(ident, len(seen))
        if before:
            return HTTPStatus.NO_CONTENT
        if number:
            return faults[number % len(faults)]
        threading.Event().wait(REQUEST_SECONDS + 1)
        return HTTPStatus.NO_CONTENT

    return answer


@pytest.mark.feature(43)
@pytest.mark.timeout(120)
def test_no_event_is_lost_where_the_receiver_fails_and_its_pod_is_killed(
    tmp_path: Path, redis_url: str, receiver: Receiver
) -> None:
    receiver.answer = failing(HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.FOUND, 0)
    with ExitStack() as stack:
        config = configured(tmp_path, redis_url, receiver.url)
        pods = {
            name: stack.enter_context(api_process(tmp_path, config, at=None, **{ENV_POD_NAME: name}))
            for name in ("one", "two")
        }
        runs: dict[str, list[str]] = {}
        for number in range(8):
            path = conversation(pods[("one", "two")[number % 2]])
            runs[path] = [say(path), say(path)]
        eventually(lambda: len(receiver.got) > 8)
        killed = sender(redis_url)
        taken_over = begin(pods[killed])
        Reader().say(pods[killed], taken_over, tokens=5)
        pods[killed].program.kill()
        survivor = next(pod for name, pod in pods.items() if name != killed)
        path = conversation(survivor)
        runs[path] = [say(path)]
        answer = f"{survivor.url}{taken_over}/messages"
        eventually(lambda: fetch(answer).json["messages"][-1]["status"] != "pending")
        runs[taken_over] = [fetch(answer).json["messages"][-1]["run"]]
        eventually(lambda: left(redis_url) == 0, seconds=50)
    wanted = {f"msg_{run}" for each in runs.values() for run in each}
    assert {*ids(receiver.accepted)} == wanted
    assert {each.path for each in receiver.got} == {"/hook"}, "a redirect was followed"
    order = [*dict.fromkeys(ids(receiver.accepted))]
    for each in runs.values():
        places = [order.index(f"msg_{run}") for run in each]
        assert places == sorted(places)
    for got in receiver.got:
        Webhook(SECRETS[0]).verify(got.body, dict(got.headers))
    assert len({(each.id, each.body) for each in receiver.got}) == len(wanted), "an event has changed"


def test_events_wait_for_a_receiver_that_is_down(tmp_path: Path, redis_url: str) -> None:
    port = free_port()
    with api_process(tmp_path, configured(tmp_path, redis_url, f"http://127.0.0.1:{port}/hook")) as pod:
        path = conversation(pod)
        runs = [say(path), say(path)]
        eventually(lambda: pod.health("/health").json.get("webhookErrors"))
        [problem] = pod.health("/health").json["webhookErrors"]
        assert problem.startswith("Webhook crm: ")
        assert not fetch(f"{pod.url}/health").json.get("webhookErrors")
        with receiving(port) as receiver:
            eventually(lambda: left(redis_url) == 0)
            assert ids(receiver.accepted) == [f"msg_{run}" for run in runs]
            eventually(lambda: not pod.health("/health").json.get("webhookErrors"))
    log = pod.log.read_text()
    assert "Webhook crm does not accept event" in log
    assert "Webhook crm accepts events again" in log


def test_nothing_is_sent_without_a_signing_secret(tmp_path: Path, redis_url: str, receiver: Receiver) -> None:
    config = configured(tmp_path, redis_url, receiver.url)
    (tmp_path / "signing" / "first").write_text("not a secret")
    with api_process(tmp_path, config) as pod:
        wrong = "Webhook crm: Secret signing: key first must be whsec_ and base64 of 24 to 64 bytes"
        eventually(lambda: pod.health("/health").json.get("webhookErrors") == [wrong])  # before there is an event
        say(conversation(pod))
        eventually(lambda: b'outcome="failed"' in pod.health("/metrics").body)
        assert not receiver.got
        (tmp_path / "signing" / "first").write_text(SECRETS[0])
        eventually(lambda: len(receiver.accepted) == 1)
        eventually(lambda: not pod.health("/health").json.get("webhookErrors"))
        assert json.loads(receiver.got[0].body)["type"] == "stream_complete"


def test_an_administrator_replays_dead_letters(tmp_path: Path, redis_url: str, receiver: Receiver) -> None:
    config = configured(tmp_path, redis_url, receiver.url)
    access = config.access.model_copy(
        update={"anonymous": False, "api_keys": secrets(tmp_path), "admin": (ADMINISTRATOR,)}
    )
    port = free_port()
    admin = f"http://{LOOPBACK}:{port}/admin/webhooks"
    old = json.dumps({"type": "feedback", "timestamp": "2026-01-02T00:00:00.000Z", "data": {"tenant": "shop"}})
    receiver.answer = lambda *_: HTTPStatus.INTERNAL_SERVER_ERROR
    with (
        redis.Redis.from_url(redis_url) as client,
        api_process(tmp_path, config.model_copy(update={"access": access}), CHATFLEET_ADMIN_PORT=str(port)) as pod,
    ):
        client.hset(f"{QUEUE}:events", "msg_1", json.dumps({"at": "2026-01-02T00:00:00.000Z", "body": old}))
        client.zadd(f"{QUEUE}:queue", {"c msg_1": 1})
        eventually(lambda: client.zcard(f"{QUEUE}:dead") == 1)
        [state] = fetch(admin, **AS_OPS).json["data"]
        assert (state["name"], state["queued"], state["dead_letters"]) == ("crm", 0, 1)
        assert [each["id"] for each in fetch(f"{admin}/crm/dead-letters", **AS_OPS).json["data"]] == ["msg_1"]
        assert fetch(f"{admin}/crm/dead-letters", **AS_WEB).status == 403
        assert fetch(f"{admin}/other/dead-letters", **AS_OPS).status == 404
        assert fetch(f"{admin}/crm/dead-letters/msg_2/replay", {}, **AS_OPS).status == 404

        receiver.answer = lambda *_: HTTPStatus.NO_CONTENT
        assert fetch(f"{admin}/crm/dead-letters/replay", {}, **AS_OPS).json == {"webhook": "crm", "replayed": 1}
        eventually(lambda: ids(receiver.accepted) == ["msg_1"])
        eventually(lambda: 'state="dead",webhook="crm"} 0.0' in pod.health("/metrics").body.decode())
    assert {each.body.decode() for each in receiver.got} == {old}
