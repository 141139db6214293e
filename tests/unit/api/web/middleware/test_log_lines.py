"""Log lines of requests and of runs: which ones there are, and the ids that they have. Never content."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.logs import JSONLines
from chatfleet_contract.spec import AccessLines
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

ACCESS = "chatfleet_api.access"
pytestmark = pytest.mark.looptime


class Lines:
    """What has been logged."""

    def __init__(self, written: io.StringIO) -> None:
        self._written = written

    def of(self, logger: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self._written.getvalue().splitlines())
        return [line for line in lines if line["logger"] == logger]


@pytest.fixture
def lines() -> Iterator[Lines]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JSONLines())
    logger = logging.getLogger("chatfleet_api")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield Lines(written)
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("wanted", "statuses"),
    [(AccessLines.ALL, [200, 404]), (AccessLines.ERRORS, [404]), (AccessLines.NONE, [])],
)
async def test_the_access_log_has_what_is_wanted_from_the_next_request_on(
    lines: Lines, wanted: AccessLines, statuses: list[int]
) -> None:
    pod = Pod(FakeProvider())
    await ask(pod.app, get("/"))
    before = len(lines.of(ACCESS))
    pod.change("observability", access_log=wanted)
    await ask(pod.app, get("/"))
    await ask(pod.app, get("/nothing"))
    assert before == 1
    assert [int(line["message"].split()[-1]) for line in lines.of(ACCESS)[before:]] == statuses
    counted = pod.meter.exposition().decode()
    assert 'chatfleet_requests_total{route="/",status="200"} 2.0' in counted


async def test_the_line_of_a_message_has_the_ids_of_all_that_it_is_about(lines: Lines) -> None:
    pod = Pod(FakeProvider(text("Hello"), [STOP]))
    made = await ask(pod.app, post("/api/v1/conversations", {}))
    conversation = made.json()["id"]
    sent = post(f"/api/v1/conversations/{conversation}/messages", {"content": "hi"})
    answer = await ask(pod.app, sent)
    line = lines.of(ACCESS)[-1]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["tenant"], line["conversation_id"]) == ("default", conversation)
    assert line["run_id"] in answer.body.decode()


@pytest.mark.feature(48)
async def test_the_lines_of_a_run_have_its_ids_and_those_of_the_request_that_began_it(lines: Lines) -> None:
    pod = Pod(FakeProvider(ChatError(Code.UPSTREAM_ERROR, detail="broken")))
    sent = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    first = await ask(pod.app, post("/v1/chat/completions", sent))
    await ask(pod.app, get("/"))
    (failed,) = lines.of("chatfleet_api.chat.turn")
    assert failed["request_id"] == first.headers["x-request-id"]
    assert failed["run_id"] == lines.of(ACCESS)[0]["run_id"]
    assert failed["tenant"] == "default"
    assert "run_id" not in lines.of(ACCESS)[1]


async def test_the_caller_cannot_forge_a_field(lines: Lines) -> None:
    pod = Pod(FakeProvider())
    await ask(pod.app, Exchange("GET", "/", headers={"X-Request-Id": 'a","level":"error'}))
    (line,) = lines.of(ACCESS)
    assert line["level"] == "info"
    assert '"' not in line["request_id"]
