"""Hard budgets: greedy tenants request three times theirs at once, modest ones half of it, and Redis is killed."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from itertools import cycle
from time import monotonic
from typing import Final, NamedTuple

from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget, Budgets
from chatfleet_lab.chaos.fleet import Fleet, Settings, key_of
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed
from harness.clients.client import Question
from harness.clients.received import ReceivedStream
from harness.redis.proxied import Redis, open_direct
from harness.upstream.script import Script
from harness.upstream.wires import INPUT_TOKENS

FITTING: Final = 20
"""Answers for which a budget is enough."""
GREEDY: Final = 3 * FITTING
MODEST: Final = FITTING // 2
"""Requests of a tenant of each kind."""
TOKENS: Final = 100
SPENT: Final = TOKENS + INPUT_TOKENS
"""By one answer, as its provider counts it."""
RESERVED: Final = TOKENS + 100
"""The most that one request reserves: more than the estimate of its question, and its answer."""
BUDGET: Final = FITTING * RESERVED
FIRST: Final = 2.0
"""Seconds before a first token: all of a tenant are requested before one has ended, so only reservations can refuse."""
PATIENCE: Final = 120.0
"""Seconds for which a client repeats what got 503, or no response."""
PAUSE: Final = 2.0
"""Seconds before it does: what `Retry-After` has while Redis is unreachable."""
SETTLED: Final = 5.0
"""Seconds after which pods have given back what they reserved of a Redis that died before its reply."""
UNDECIDED: Final = (0, HTTPStatus.SERVICE_UNAVAILABLE)
"""Status of no response, and of one without Redis."""
NO_RESERVATION: Final = 1
"""Output tokens: a budget that is compared with what has ended, and hardly with what is under way."""


class Load(NamedTuple):
    """How much is hurt."""

    pods: int
    tenants: int
    """The first half is greedy."""
    per_second: int
    """Requests."""
    kills: int
    """Of Redis."""

    @property
    def requests(self) -> int:
        """Of all tenants together."""
        return self.tenants // 2 * (GREEDY + MODEST)


LOADS: Final = {"short": Load(2, 2, 100, 0), "long": Load(20, 100, 40, 10)}


class Tenant(NamedTuple):
    """What a tenant requested, first all at once and then one by one, and what came of it."""

    greedy: bool
    judged: Sequence[Judgement]
    spent: int


async def play(trial: Trial) -> Findings:
    """Request tenant after tenant, each from all pods at once; then what greedy ones have left, one by one."""
    load = LOADS[trial.size]
    names = tuple(f"tenant-{number}" for number in range(load.tenants))
    limits = Limits(
        budgets=Budgets(per_tenant=Budget(tokens_per_day=BUDGET)),
        reserve_tokens=TOKENS if trial.protected else NO_RESERVATION,
    )
    async with open_direct(trial.folder / "redis") as redis:
        settings = Settings(redis_url=redis.url, limits=limits, tenants=names)
        async with trial.fleet(settings, pods=0) as fleet:
            for _ in range(load.pods):
                await fleet.add()  # one by one: processes that start together are slower than their deadlines
            began = monotonic()
            judged = await _at_once(trial, fleet, redis, names)
            lasted = monotonic() - began
            await asyncio.sleep(SETTLED if load.kills else 0)
            rest = await asyncio.gather(*(_one_by_one(trial, fleet, name) for name in names[: load.tenants // 2]))
    found = findings(await _tenants(trial, judged, rest))
    found.figures |= {
        "pods": load.pods,
        "requests per second": round(len(judged) / lasted),
        "kills of Redis": load.kills,
    }
    return found


async def _at_once(trial: Trial, fleet: Fleet, redis: Redis, names: Sequence[str]) -> list[Judgement]:
    load, half = LOADS[trial.size], len(names) // 2
    pairs = zip(names[:half], names[half:], strict=True)
    questions = [
        _question(trial, name, FIRST)
        for pair in pairs
        for name, number in zip(pair, (GREEDY, MODEST), strict=True)
        for _ in range(number)
    ]
    urls = cycle([pod.url for pod in fleet.pods])

    async def ask(number: int, question: Question) -> ReceivedStream:
        await asyncio.sleep(number / load.per_second)
        return await _answered(trial, next(urls), question)

    asking = asyncio.gather(*map(ask, range(len(questions)), questions))
    for _ in range(load.kills):
        await asyncio.sleep(load.requests / load.per_second / load.kills)
        await redis.servers[0].kill()
        await asyncio.sleep(trial.random.random())
        await redis.servers[0].start()
    return await trial.judge_all(questions, await asking)


async def _answered(trial: Trial, url: str, question: Question) -> ReceivedStream:
    """Ask, and again while nothing is decided: without Redis there is 503 where a budget applies."""
    until = monotonic() + PATIENCE
    while True:
        received = await trial.client.ask(url, question)
        if received.status not in UNDECIDED or monotonic() > until:
            return received
        await asyncio.sleep(PAUSE)


async def _one_by_one(trial: Trial, fleet: Fleet, name: str) -> list[Judgement]:
    """Ask until the first refusal: by then nothing may be left that is enough for one more."""
    judged: list[Judgement] = []
    while len(judged) <= FITTING and all(each.verdict is Verdict.COMPLETE for each in judged):
        question = _question(trial, name, 0)
        judged += await trial.judge_all([question], [await _answered(trial, fleet.url, question)])
    return judged


async def _tenants(trial: Trial, judged: Sequence[Judgement], rest: Sequence[Sequence[Judgement]]) -> list[Tenant]:
    by_key: dict[str, list[Judgement]] = {}
    for each in (*judged, *(each for of_one in rest for each in of_one)):
        by_key.setdefault(each.question.key or "", []).append(each)
    calls = await trial.upstream.ledger(each.question.script for of_one in by_key.values() for each in of_one)
    return [
        Tenant(
            len(of_one) > MODEST,
            of_one,
            sum(call.tokens + INPUT_TOKENS for each in of_one for call in calls[each.question.script.key]),
        )
        for of_one in by_key.values()
    ]


def _question(trial: Trial, tenant: str, first: float) -> Question:
    return Question(Script(trial.key(), TOKENS, first=first), "openai", key=key_of(tenant))


def findings(tenants: Sequence[Tenant]) -> Findings:
    """Compare what each tenant spent with its budget, and how the rest was refused. Pure."""
    over = [max(each.spent - BUDGET, 0) for each in tenants]
    budgets = BUDGET * len(tenants)
    found = Findings(
        {"tenants": len(tenants), "overspent": sum(over), "overspent %": round(100 * sum(over) / budgets, 3)}
    )
    found.figures["refused under budget"] = 0
    for tenant, more in zip(tenants, over, strict=True):
        found.require(not more, f"A tenant spent {tenant.spent} tokens, and its budget is {BUDGET}.")
        left = BUDGET - tenant.spent
        found.require(not tenant.greedy or left < RESERVED, f"{left} tokens are left to a tenant that was refused.")
        for _, received, verdict in tenant.judged:
            found.count(verdict)
            refused = (received.status, received.ends) == (HTTPStatus.TOO_MANY_REQUESTS, ["budget_exhausted"])
            if refused and not tenant.greedy:
                found.count("refused under budget")
            found.require(
                verdict is Verdict.COMPLETE or (refused and tenant.greedy),
                f"A request of a tenant got status {received.status} and {listed(received.ends)}.",
            )
    return found


SCENARIO = Scenario(
    "hard budget",
    "What pods write together fits into each budget, however many are requested at once; what does not fit gets 429.",
    "reserveTokens: 1, so that answers under way are not counted",
    play,
    hurt=("complete", "refused", "kills of Redis"),
    targets={"overspent %": "≤ 0.1", "refused under budget": "0"},
    aim="20 pods, 100 tenants, of which half request three times their budgets at once, and 10 kills of Redis",
)
