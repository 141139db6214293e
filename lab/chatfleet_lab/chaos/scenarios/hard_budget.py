"""A hard budget: clients of two pods ask for more than it holds, all at once, and what they get fits into it."""

from collections.abc import Sequence
from http import HTTPStatus
from itertools import cycle
from typing import Final

from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget
from chatfleet_lab.chaos.fleet import Settings
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed
from harness.clients.client import STREAMED, Question
from harness.redis.proxied import open_single
from harness.upstream.script import Script

ANSWERS: Final = {"short": 60, "long": 600}
FITTING: Final = 0.3
"""Part of them for which the budget is enough."""
TOKENS: Final = 100
FIRST: Final = 1.0
"""Seconds before a first token: all are asked for before one has ended, so that only reservations can refuse."""
GAP: Final = 0.01
QUESTION: Final = 100
"""More tokens than the estimate of a question has."""
NO_RESERVATION: Final = 1
"""Output tokens: a budget that is compared with what has ended, and hardly with what is under way."""


async def play(trial: Trial) -> Findings:
    """Ask two pods for all answers at once; then one by one, for what the budget has left."""
    number = ANSWERS[trial.size]
    budget = int(number * FITTING) * TOKENS
    limits = Limits(budget=Budget(tokens_per_day=budget), reserve_tokens=TOKENS if trial.protected else NO_RESERVATION)
    async with (
        open_single(trial.folder / "redis") as redis,
        trial.fleet(Settings(redis_url=redis.url, limits=limits), pods=2) as fleet,
    ):
        urls = cycle([pod.url for pod in fleet.pods])
        judged = await trial.ask_all(_questions(trial, number, FIRST), lambda: next(urls))
        judged += await trial.ask_all(_questions(trial, number, 0), lambda: next(urls), at_once=1)
    calls = await trial.upstream.ledger(each.question.script for each in judged)
    return findings(judged, sum(call.tokens for of_one in calls.values() for call in of_one), budget)


def _questions(trial: Trial, number: int, first: float) -> list[Question]:
    scripts = [Script(trial.key(), TOKENS, gap=GAP if first else 0, first=first) for _ in range(number)]
    return [Question(script, "openai", STREAMED[1]) for script in scripts]


def findings(judged: Sequence[Judgement], written: int, budget: int) -> Findings:
    """Compare the output tokens that were `written` with the budget, and how the others were refused. Pure."""
    found = Findings({"budget": budget, "written": written, "overspent": max(written - budget, 0)})
    for _, received, verdict in judged:
        found.count(verdict)
        if verdict is not Verdict.COMPLETE:
            found.require(
                (received.status, received.ends) == (HTTPStatus.TOO_MANY_REQUESTS, ["budget_exhausted"]),
                f"A request beyond the budget got status {received.status} and {listed(received.ends)}.",
            )
    found.require(written <= budget, f"{written} tokens were written, and the budget is {budget}.")
    whole = sum(verdict is Verdict.COMPLETE for _, _, verdict in judged)
    least = budget // (TOKENS + QUESTION)
    found.require(whole >= least, f"{whole} answers were whole, and the budget has tokens for {least}.")
    return found


SCENARIO = Scenario(
    "hard budget",
    "What pods write together fits into the budget, however many ask at once; what does not fit gets 429.",
    "reserveTokens: 1, so that answers under way are not counted",
    play,
    hurt=("complete", "refused"),
    targets={"overspent": "0"},
    aim="three times the budget, all at once",
)
