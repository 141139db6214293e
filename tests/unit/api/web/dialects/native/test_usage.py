"""`GET /api/v1/usage`: sums by any dimension, as JSON, CSV and FOCUS; each caller sees its own."""

import asyncio
import csv
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.policies.instrumented import Instrumented, ModelLabels
from chatfleet_api.providers.provider import StreamItem
from chatfleet_api.usage.record import Charge, Consumer, UsageRecord
from chatfleet_api.usage.tables import FOCUS_COLUMNS
from harness.clients.asgi import ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, loop_clock, text

pytestmark = pytest.mark.looptime

PATH = "/api/v1/usage"
PERIOD = "from=2026-01-01&to=2026-01-31"


def record(
    number: int, user: str, cost: str | None, *, day: str = "2026-01-02", tenant: str = "default"
) -> UsageRecord:
    usage = Usage(100 * number, number, cost_usd=None if cost is None else Decimal(cost))
    charge = Charge("p", f"m{number % 2}", "up", usage)
    return UsageRecord(str(number), tenant, Consumer(user, "key:k"), day, "complete", (charge,))


def pod() -> Pod:
    made = Pod(FakeProvider(text("Hel", "lo"), [STOP]))
    made.ledger.add(record(1, "ann", "0.1"))
    made.ledger.add(record(2, "ann", "0.2"))
    made.ledger.add(record(3, "bob", "0.000000000001", day="2026-01-03"))
    made.ledger.add(record(4, "=bob()", None, day="2026-01-03"))
    made.ledger.add(record(5, "other", "7", tenant="other"))
    return made


async def report(query: str = "") -> dict[str, Any]:
    answer = await ask(pod().app, get(f"{PATH}?{PERIOD}&{query}"))
    assert answer.status == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_the_total_is_exact_and_shows_what_has_no_price() -> None:
    total = (await report())["total"]
    assert (total["requests"], total["input_tokens"], total["output_tokens"]) == (4, 1000, 10)
    assert (total["cost_usd"], total["unpriced"]) == ("0.300000000001", 1)


async def test_sums_are_grouped_and_filtered_by_what_is_named() -> None:
    data = (await report("group_by=user,day"))["data"]
    assert [(row["user"], row["day"], row["requests"], row["cost_usd"]) for row in data] == [
        ("=bob()", "2026-01-03", 1, None),
        ("ann", "2026-01-02", 2, "0.3"),
        ("bob", "2026-01-03", 1, "0.000000000001"),
    ]
    assert (await report("user_id=ann&model=m1"))["total"]["requests"] == 1
    assert (await report("user_id=nobody"))["total"]["cost_usd"] == "0"


async def test_a_table_has_a_line_for_each_group_and_no_formula() -> None:
    answer = await ask(pod().app, get(f"{PATH}?{PERIOD}&group_by=user&format=csv"))
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(StringIO(answer.body.decode())))
    assert [(row["user"], row["cost_usd"]) for row in rows] == [
        ("'=bob()", ""),
        ("ann", "0.3"),
        ("bob", "0.000000000001"),
    ]


async def test_focus_has_all_columns_and_a_charge_for_each_row_with_a_price() -> None:
    answer = await ask(pod().app, get(f"{PATH}?{PERIOD}&format=focus"))
    rows = list(csv.DictReader(StringIO(answer.body.decode())))
    assert tuple(rows[0]) == FOCUS_COLUMNS
    assert len(rows) == 3
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("0.300000000001")
    assert {row["SubAccountId"] for row in rows} == {"default"}
    assert (rows[0]["ChargePeriodStart"], rows[0]["ChargePeriodEnd"]) == (
        "2026-01-02T00:00:00Z",
        "2026-01-03T00:00:00Z",
    )


@pytest.mark.feature(42)
async def test_answers_are_in_the_sums_of_their_conversation_and_of_the_month() -> None:
    made = Pod(FakeProvider(text("Hel", "lo"), [STOP]))
    conversation = (await ask(made.app, post("/api/v1/conversations", {"user_id": "ann"}))).json()["id"]
    await ask(made.app, post(f"/api/v1/conversations/{conversation}/messages", {"content": "Hi"}))
    await ask(made.app, post("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}))
    total = (await ask(made.app, get(f"{PATH}?conversation_id={conversation}"))).json()["total"]
    assert (total["requests"], total["input_tokens"], total["cost_usd"]) == (1, 3, None)
    [sums] = await made.ledger.days("default", ["2026-01-02"])
    assert sorted((row.user, counters["requests"]) for row, counters in sums.items()) == [("", 1), ("ann", 1)]


MESSAGE = {"role": "user", "content": "Hi"}
REQUESTS = {
    "chat completion": ("/v1/chat/completions", {"messages": [MESSAGE]}),
    "streamed": ("/v1/chat/completions", {"messages": [MESSAGE], "stream": True}),
    "message": ("/v1/messages", {"messages": [MESSAGE], "max_tokens": 9}),
    "streamed message": ("/v1/messages", {"messages": [MESSAGE], "max_tokens": 9, "stream": True}),
    "response": ("/v1/responses", {"input": "Hi"}),
    "response that is not stored": ("/v1/responses", {"input": "Hi", "store": False}),
    "streamed response": ("/v1/responses", {"input": "Hi", "stream": True}),
    "background response": ("/v1/responses", {"input": "Hi", "background": True}),
    "compaction": ("/v1/responses/compact", {"input": "Hi"}),
}


@pytest.mark.feature(41)
@pytest.mark.parametrize("steps", [[STOP], ChatError(Code.UPSTREAM_TRUNCATED)], ids=["whole", "cut"])
@pytest.mark.parametrize(("path", "body"), REQUESTS.values(), ids=REQUESTS)
async def test_an_answer_of_every_api_is_counted_once(
    path: str, body: dict[str, Any], steps: list[StreamItem] | ChatError
) -> None:
    provider = Instrumented(
        FakeProvider(text("Hel", "lo"), steps), ModelLabels("p", "m", "up"), meter=Meter("tests"), clock=loop_clock
    )
    made = Pod(provider)
    await ask(made.app, post(path, {"model": "m", **body}, **{"anthropic-version": "2023-06-01"}))
    await asyncio.sleep(1)  # on the virtual clock: an answer in the background ends
    [sums] = await made.ledger.days("default", ["2026-01-02"])
    [(row, counters)] = sums.items()
    assert row[:3] == ("p", "m", "up")
    is_cut = isinstance(steps, ChatError)
    assert (counters["requests"], counters["output_tokens"], counters["estimated"]) == (1, 2, int(is_cut))
    assert counters["input_tokens"] > 0


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("from=2026-02-01&to=2026-01-01", "from"),
        ("from=2025-01-01&to=2026-01-01", "from"),
        ("group_by=colour", "group_by"),
        ("format=xml", "format"),
        ("from=yesterday", "from"),
    ],
)
async def test_a_report_that_cannot_be_is_refused_by_field(query: str, param: str) -> None:
    answer = await ask(pod().app, get(f"{PATH}?{query}"))
    assert (answer.status, answer.json()["param"]) == (400, param)


async def test_a_conversation_that_does_not_exist_has_no_sums() -> None:
    answer = await ask(pod().app, get(f"{PATH}?conversation_id=00000000-0000-7000-8000-999999999999"))
    assert (answer.status, answer.json()["code"]) == (404, "conversation_not_found")
