"""Users of real pods: who leaves before an answer has ended, and does not return to any pod, has one event."""

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
import redis

from chatfleet_contract.names import ENV_POD_NAME
from chatfleet_contract.runtime import RuntimeConfig, RuntimeWebhook
from chatfleet_contract.spec import Conversations
from chatfleet_contract.spec.webhooks import WebhookEvent
from harness.clients.reader import Reader
from harness.net import LOOPBACK, LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process, fetch, scripted
from harness.polling import eventually
from harness.receiver import Receiver, receiving

pytestmark = pytest.mark.lasts(60)

BASE: Final = "/api/v1/conversations"
INACTIVE_SECONDS: Final = 10
"""Longer than a busy machine needs for a request."""
EVENTS: Final = (WebhookEvent.STREAM_COMPLETE, WebhookEvent.USER_INACTIVE)
SENDER: Final = "chatfleet:{shop/support}:webhook-sender"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def pods(tmp_path: Path, redis_url: str, receiver: Receiver) -> Iterator[dict[str, ApiProcess]]:
    """Two pods with a webhook, by name."""
    config = configured(tmp_path, redis_url, receiver.url)
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(api_process(tmp_path, config, at=None, **{ENV_POD_NAME: name}))
            for name in ("one", "two")
        }


def configured(folder: Path, redis_url: str, url: str) -> RuntimeConfig:
    (folder / "redis").write_text(redis_url)
    (folder / "signing").mkdir()
    (folder / "signing" / "first").write_text(f"whsec_{base64.b64encode(bytes(32)).decode()}")
    hook = RuntimeWebhook(
        name="crm",
        url=url,
        events=EVENTS,
        secrets_folder=str(folder / "signing"),
        inactive_after_seconds=INACTIVE_SECONDS,
    )
    fields = {
        "redis_url_file": str(folder / "redis"),
        "webhooks": (hook,),
        "egress": LOOPBACK_EGRESS,
        "conversations": Conversations(on_client_disconnect="continue"),
    }
    return scripted("slow", "endless").model_copy(update=fields)


def begun(pod: ApiProcess, user: str) -> str:
    """Return the path of a new conversation of a user."""
    return f"{BASE}/{fetch(pod.url + BASE, {'user_id': user}).json['id']}"


def users(receiver: Receiver, kind: WebhookEvent) -> list[str]:
    """Return the users of the events of a kind, in order."""
    return [each.event["data"]["user_id"] for each in receiver.accepted if each.event["type"] == kind]


def inactive(receiver: Receiver) -> list[str]:
    return users(receiver, WebhookEvent.USER_INACTIVE)


def left_by(receiver: Receiver, pod: ApiProcess, user: str) -> str:
    """Let a user leave in the midst of an answer; return the path of its conversation once that has ended."""
    path = begun(pod, user)
    Reader().say(pod, path, tokens=2)
    eventually(lambda: user in users(receiver, WebhookEvent.STREAM_COMPLETE))
    return path


@contextmanager
def reading(pod: ApiProcess, path: str) -> Iterator[None]:
    """Have an open stream of an answer that does not end."""
    with closing(http.client.HTTPConnection(LOOPBACK, pod.port)) as connection:
        body = json.dumps({"content": "hi", "model": "endless"})
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        connection.request("POST", f"{path}/messages", body, headers)
        assert connection.getresponse().readline()
        yield
    fetch(f"{pod.url}{path}/cancel", {})


@pytest.mark.feature(43, 47)
@pytest.mark.timeout(120)
def test_users_who_return_to_any_pod_or_read_there_have_no_event(
    pods: dict[str, ApiProcess], receiver: Receiver
) -> None:
    one, two = pods["one"], pods["two"]
    with reading(two, begun(two, "reads-elsewhere")):
        left_by(receiver, one, "reads-elsewhere")
        path = left_by(receiver, one, "returns")
        fetch(f"{two.url}{path}/messages")
        Reader().say(one, begun(one, "stays"))
        left_by(receiver, one, "leaves")
        eventually(lambda: "leaves" in inactive(receiver), seconds=50)
    left_by(receiver, two, "leaves too")
    eventually(lambda: "leaves too" in inactive(receiver), seconds=50)
    assert inactive(receiver) == ["leaves", "leaves too"]
    completed, [event, _] = (
        [each for each in receiver.accepted if each.event["type"] == kind]
        for kind in (WebhookEvent.STREAM_COMPLETE, WebhookEvent.USER_INACTIVE)
    )
    ends = {each.event["data"]["user_id"]: each for each in completed}
    assert ends.keys() == {"reads-elsewhere", "returns", "stays", "leaves", "leaves too"}
    assert event.event == {**ends["leaves"].event, "type": "user_inactive"}
    assert event.id == f"{ends['leaves'].id}_inactive"


@pytest.mark.feature(47)
@pytest.mark.timeout(120)
def test_an_event_survives_the_pods_that_have_written_and_held_it(
    pods: dict[str, ApiProcess], receiver: Receiver, redis_url: str
) -> None:
    def sender() -> str:
        with redis.Redis.from_url(redis_url) as client:
            return str((client.get(SENDER) or b"").decode().partition("/")[0])

    eventually(lambda: sender() in pods)
    killed = pods.pop(sender())
    [survivor] = pods.values()
    left_by(receiver, killed, "left before")
    Reader().say(killed, begun(killed, "left amidst"), tokens=5)
    killed.program.kill()
    eventually(lambda: len(inactive(receiver)) == 2, seconds=60)
    assert sorted(inactive(receiver)) == ["left amidst", "left before"]
    assert survivor.has_started()
