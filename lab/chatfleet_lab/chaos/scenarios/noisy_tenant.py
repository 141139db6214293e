"""A noisy tenant: one floods the pods at three times its cap, and another is measured alone and beside the flood."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from statistics import median
from typing import Final, NamedTuple

from chatfleet_contract.spec import Limits, Streaming
from chatfleet_contract.spec.limits import Burst, Limit
from chatfleet_lab.chaos.fleet import UNLIMITED, Fleet, Settings, key_of
from chatfleet_lab.chaos.measure import milliseconds
from chatfleet_lab.chaos.scenario import LOOK, Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed
from harness.clients.client import Question
from harness.clients.received import ReceivedStream
from harness.polling import eventually_async
from harness.redis.proxied import open_direct
from harness.upstream.script import Script

NOISY, QUIET = "noisy", "quiet"
CAP: Final = 15
"""Requests a second of each tenant."""
BURST: Final = 15
"""At once: the quiet tenant is not to be refused because a busy machine asks for seconds of it together."""
FLOOD: Final = 3 * CAP
CALM: Final = 4
"""Requests a second of the quiet tenant."""
ROUNDS: Final = {"short": 1, "long": 8}
SECONDS: Final = {"short": 4.0, "long": 15.0}
"""For which the quiet tenant asks, alone and then beside the flood, in each round."""
FIRST: Final = 0.3
"""Seconds before a first token."""
TOKENS: Final = {NOISY: 20, QUIET: 10}
GAP: Final = {NOISY: 0.2, QUIET: 0.1}
CAPACITY: Final = 75
"""Streams of each of two pods: enough for what the limits let pass, and not for the flood."""
FELT: Final = 5.0
"""Percent."""


class Round(NamedTuple):
    """What came of one round."""

    alone: Sequence[Judgement]
    beside: Sequence[Judgement]
    flood: Sequence[Judgement]


async def play(trial: Trial) -> Findings:
    """Measure the quiet tenant in turn alone and beside the flood: so what else the machine does is in both."""
    cap = Limit(requests_per_minute=60 * CAP, burst=Burst(requests=BURST))
    async with open_direct(trial.folder / "redis") as redis:
        settings = Settings(
            redis_url=redis.url,
            streaming=Streaming(max_streams_per_pod=CAPACITY),
            limits=Limits(per_tenant=cap) if trial.protected else UNLIMITED,
            tenants=(NOISY, QUIET),
        )
        async with trial.fleet(settings, pods=2) as fleet:
            rounds = [await _round(trial, fleet) for _ in range(ROUNDS[trial.size])]
    return findings(rounds, felt=FELT if trial.size == "long" else None)


async def _round(trial: Trial, fleet: Fleet) -> Round:
    await _all_ended(fleet)
    alone = await _asked(trial, fleet, SECONDS[trial.size])
    async with _flood(trial, fleet) as flooding:
        await asyncio.sleep(FIRST + GAP[NOISY] * TOKENS[NOISY])  # then there are as many streams as there will be
        beside = await _asked(trial, fleet, SECONDS[trial.size])
    questions = [question for question, _ in flooding]
    flood = await trial.judge_all(questions, await asyncio.gather(*(asking for _, asking in flooding)))
    return Round(alone, beside, flood)


async def _all_ended(fleet: Fleet) -> None:
    async def ended() -> bool:
        return not any([await pod.metric("chatfleet_active_streams") for pod in fleet.pods])

    await eventually_async(ended, every=LOOK)


async def _asked(trial: Trial, fleet: Fleet, seconds: float) -> list[Judgement]:
    """Ask as the quiet tenant for so long, in a steady pace; return what came when all have ended."""
    questions = [_question(trial, QUIET) for _ in range(round(seconds * CALM))]

    async def ask(number: int, question: Question) -> ReceivedStream:
        await asyncio.sleep(number / CALM)
        return await trial.client.ask(fleet.url, question)

    return await trial.judge_all(questions, await asyncio.gather(*map(ask, range(len(questions)), questions)))


@asynccontextmanager
async def _flood(trial: Trial, fleet: Fleet) -> AsyncIterator[list[tuple[Question, "asyncio.Task[ReceivedStream]"]]]:
    """Ask as the noisy tenant while the block lasts, whatever the answers are."""
    asked: list[tuple[Question, asyncio.Task[ReceivedStream]]] = []

    async def ask() -> None:
        began = asyncio.get_running_loop().time()
        while True:
            question = _question(trial, NOISY)
            asked.append((question, asyncio.ensure_future(trial.client.ask(fleet.url, question))))
            await asyncio.sleep(began + len(asked) / FLOOD - asyncio.get_running_loop().time())

    asking = asyncio.ensure_future(ask())
    try:
        yield asked
    finally:
        asking.cancel()
        await asyncio.wait([asking])


def _question(trial: Trial, tenant: str) -> Question:
    script = Script(trial.key(), TOKENS[tenant], gap=GAP[tenant], first=FIRST)
    return Question(script, "openai", key=key_of(tenant))


def findings(rounds: Sequence[Round], *, felt: float | None) -> Findings:
    """Compare what the quiet tenant got alone and beside the flood; `felt` is the most that it may feel. Pure."""
    found = Findings()
    quiet = [each for of_one in rounds for each in (*of_one.alone, *of_one.beside)]
    bad = [f"status {received.status}, {listed(received.ends)}" for _, received, end in quiet if end != "complete"]
    found.figures |= {"requests of the quiet tenant": len(quiet), "not answered": len(bad)}
    found.require(
        not bad, f"{len(bad)} of {len(quiet)} requests of the quiet tenant got no answer: {', '.join(bad[:1])}."
    )
    _require_capped(found, rounds)
    firsts = [(_median(each.alone, _first_token), _median(each.beside, _first_token)) for each in rounds]
    rates = [(_median(each.alone, _rate), _median(each.beside, _rate)) for each in rounds]
    for number, when in enumerate(("alone", "beside")):
        found.figures[f"first token {when} ms"] = milliseconds(median(pair[number] for pair in firsts))
    slower = {
        "first token": median(beside / max(alone, 1e-9) - 1 for alone, beside in firsts),
        "rate": median(1 - beside / max(alone, 1e-9) for alone, beside in rates),
    }
    for name, share in slower.items():
        found.figures[f"felt in the {name} %"] = round(100 * share, 1)
        found.require(felt is None or 100 * share < felt, f"The quiet tenant feels {100 * share:.1f} % in the {name}.")
    return found


def _require_capped(found: Findings, rounds: Sequence[Round]) -> None:
    """Require that the flood was answered as often as the cap allows, and the rest refused as limits refuse."""
    for each in rounds:
        answers = [received for _, received, verdict in each.flood if verdict is Verdict.COMPLETE]
        answered = len(answers)
        last = max((received.times[0] for received in answers), default=0.0)
        seconds = last - min((received.asked for received in answers), default=0.0)
        most = CAP * seconds + BURST + 1
        found.require(answered <= most, f"The noisy tenant got {answered} answers, and its cap allows {most:.0f}.")
        for _, received, verdict in each.flood:
            found.count(f"flood {verdict}")
            found.require(
                verdict is Verdict.COMPLETE
                or (received.status, received.ends) == (HTTPStatus.TOO_MANY_REQUESTS, ["limit_exceeded"]),
                f"A request of the flood got status {received.status} and {listed(received.ends)}.",
            )


def _median(judged: Sequence[Judgement], measure: Callable[[ReceivedStream], float]) -> float:
    """Return the median of the answers that were whole, 0 for none."""
    return median([measure(received) for _, received, verdict in judged if verdict is Verdict.COMPLETE] or [0.0])


def _first_token(received: ReceivedStream) -> float:
    return received.times[0] - received.asked


def _rate(received: ReceivedStream) -> float:
    return (len(received.times) - 1) / (received.times[-1] - received.times[0])


SCENARIO = Scenario(
    "noisy tenant",
    "A tenant that requests three times its limit gets its limit; another one is never refused, and feels < 5 %.",
    "no limits",
    play,
    hurt=("flood complete", "flood refused"),
    targets={"not answered": "0", "felt in the first token %": "< 5", "felt in the rate %": "< 5"},
    aim="8 rounds of 15 s alone and 15 s beside the flood; the figures are medians of the rounds' ratios",
)
