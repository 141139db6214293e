"""The list of conversations: its filters, its search, and parameters that cannot be."""

import asyncio
from typing import Any, Final

import pytest

from harness.clients.asgi import ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import FakeProvider

pytestmark = pytest.mark.looptime

BASE: Final = "/api/v1/conversations"


async def begin(pod: Pod, **fields: Any) -> None:  # noqa: ANN401  # any JSON
    assert (await ask(pod.app, post(BASE, fields))).status == 201


async def titles(pod: Pod, query: str) -> list[str]:
    shown = (await ask(pod.app, get(f"{BASE}?{query}"))).json()
    return [each["title"] for each in shown["conversations"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Refund 2", "refund 1"]),
        ("user_id=ann", ["refund 1"]),
        ("metadata.tier=gold", ["Refund 2", "refund 1"]),
        ("metadata.tier=gold&metadata.n=2", ["Refund 2"]),
        ("metadata.a.b%20c=true", ["refund 1"]),
        ("metadata.tier=", []),
        ("q=REFUND", ["Refund 2", "refund 1"]),
        ("q=2+fund", ["Refund 2"]),
        ("q=%20", ["Refund 2", "refund 1"]),
        ("q=invoice", []),
        ("updated_since=2026-01-01T00:00:01Z", ["Refund 2"]),
        ("updated_since=2026-01-01T02:00:00%2B02:00", ["Refund 2", "refund 1"]),
        ("updated_since=9999-12-31T23:59:59-12:00", []),
        ("updated_since=0001-01-01T00:00:00%2B14:00&q=1&metadata.tier=gold&user_id=ann", ["refund 1"]),
    ],
)
async def test_a_listing_shows_what_meets_every_condition(query: str, found: list[str]) -> None:
    pod = Pod(FakeProvider())
    await begin(pod, user_id="ann", title="refund 1", metadata={"tier": "gold", "a.b c": True})
    await asyncio.sleep(1)
    await begin(pod, title="Refund 2", metadata={"tier": "gold", "n": 2})
    assert await titles(pod, query) == found


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("updated_since=yesterday", "updated_since"),
        ("updated_since=2026-01-02", "updated_since"),
        ("updated_since=2026-01-02T00:00:00", "updated_since"),
        ("updated_since=2026-01-02T00:00:00+01:00", "updated_since"),
        ("q=" + "x" * 257, "q"),
        ("metadata.=x", "metadata."),
        ("metadata.a=1&metadata.a=2", "metadata.a"),
        ("metadata.a=" + "x" * 257, "metadata.a"),
        ("&".join(f"metadata.{index}=x" for index in range(9)), "metadata"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_by_field(query: str, param: str) -> None:
    answer = await ask(Pod(FakeProvider()).app, get(f"{BASE}?{query}"))
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["param"] == param


async def test_a_plus_in_a_time_that_became_a_blank_is_explained() -> None:
    answer = await ask(Pod(FakeProvider()).app, get(f"{BASE}?updated_since=2026-01-02T00:00:00+01:00"))
    assert "%2B" in answer.json()["message"]
