"""A tap sees what happens and never what is written; a listener that hangs is never felt by a stream."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chatfleet_api.admin.events import MOST_TAPS
from chatfleet_api.domain.dispatch import EventKind
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.exposition import exported
from harness.pods.administered import AS_OPS, AS_WEB, administer
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text
from unit.api.admin.test_admin import STREAM

pytestmark = pytest.mark.looptime

CANARY = "canary-of-an-answer"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "canary-of-a-question"}]}


def events_of(tap: Exchange) -> list[tuple[str, dict[str, Any]]]:
    frames = [frame for frame in tap.body.decode().split("\n\n") if "event: " in frame]
    lines = [frame[frame.index("event: ") :].split("\n") for frame in frames]
    return [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in lines]


async def opened(tap: Exchange) -> None:
    """Return when the tap has sent its first bytes, and listens."""
    await tap.until(b": keep-alive")
    await asyncio.sleep(0.01)


@pytest.mark.feature(43, 44)
async def test_a_tap_sees_runs_of_all_tenants_without_content(tmp_path: Path) -> None:
    pod = Pod(FakeProvider(text(CANARY), [STOP]))
    app = administer(pod, tmp_path)
    tap, of_shop, of_other_model = (
        get(f"/admin/events{query}", **AS_OPS) for query in ("", "?tenant=shop", "?model=n")
    )
    async with asking(app, tap), asking(app, of_shop), asking(app, of_other_model):
        for each in (tap, of_shop, of_other_model):
            await opened(each)
        for headers in (AS_WEB, AS_OPS):
            await ask(pod.app, post("/v1/chat/completions", ASKED, **headers))
        await tap.until(b'"tenant":"ops","run"')
        await asyncio.sleep(0.01)
        seen = events_of(tap)
        assert [(kind, facts["tenant"]) for kind, facts in seen] == [
            *(("stream_start", "shop"), ("stream_complete", "shop")),
            *(("stream_start", "ops"), ("stream_complete", "ops")),
        ]
        end = seen[1][1]
        assert end["run"] == seen[0][1]["run"]
        shown = {name: end[name] for name in ("pod", "model", "key", "outcome", "finish_reason")}
        assert shown == {
            "pod": "pod-1",
            "model": "m",
            "key": "key:web",
            "outcome": "complete",
            "finish_reason": "stop",
        }
        assert events_of(of_shop) == seen[:2]
        assert events_of(of_other_model) == []
        assert b"canary" not in tap.body
        for each in (tap, of_shop, of_other_model):
            each.left.set()
    assert not any(pod.dispatcher.listeners(kind) for kind in EventKind)


async def test_a_tap_shows_how_a_run_has_failed_and_what_tokens_come(tmp_path: Path) -> None:
    pod = Pod(FakeProvider(text(CANARY), text("b")))
    app = administer(pod, tmp_path)
    tap = get("/admin/events?events=token_received,stream_complete", **AS_OPS)
    async with asking(app, tap):
        await opened(tap)
        await ask(pod.app, post("/v1/chat/completions", STREAM, **AS_WEB))
        await tap.until(b"stream_complete")
        *tokens, (last, end) = events_of(tap)
        assert {kind for kind, _ in tokens} == {"token_received"}
        assert sum(facts["characters"] for _, facts in tokens) == len(CANARY) + 1
        assert (last, end["outcome"], end["partial_saved"]) == ("stream_complete", "upstream_truncated", False)
        assert CANARY.encode() not in tap.body
        tap.left.set()


async def test_taps_are_bounded_and_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    pod = Pod(FakeProvider(text("a"), [STOP]))
    app = administer(pod, tmp_path)
    assert (await ask(app, get("/admin/events", **AS_WEB))).status == 403
    wrong = await ask(app, get("/admin/events?events=everything", **AS_OPS))
    assert (wrong.status, wrong.json()["param"]) == (400, "events")
    taps = [get("/admin/events", **AS_OPS) for _ in range(MOST_TAPS)]
    tasks = [asyncio.ensure_future(app(tap.scope, tap.receive, tap.send)) for tap in taps]
    for tap in taps:
        await opened(tap)
    assert (await ask(app, get("/admin/events", **AS_OPS))).status == 429
    for tap in taps:
        tap.left.set()
    await asyncio.gather(*tasks)
    again = get("/admin/events", **AS_OPS)
    async with asking(app, again):
        await opened(again)
        again.left.set()


@pytest.mark.feature(43, 44)
async def test_a_listener_that_hangs_is_dropped_from_and_not_felt_by_a_stream() -> None:
    pod = Pod(FakeProvider(*(text(str(number)) for number in range(200)), [STOP]))
    alone = await ask(pod.app, post("/v1/chat/completions", STREAM))
    with pod.dispatcher.listening("hung", EventKind, size=1):
        beside = await ask(pod.app, post("/v1/chat/completions", STREAM))
    assert beside.status == 200
    assert beside.body.count(b'"content"') == alone.body.count(b'"content"') >= 200
    assert beside.body.endswith(b"data: [DONE]\n\n")
    dropped = 'chatfleet_notices_dropped_total{listener="hung"} 201.0'
    assert dropped in pod.meter.exposition().decode().splitlines()
    assert "chatfleet_notices_dropped_total" in exported(pod.meter.exposition())
