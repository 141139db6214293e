"""An upstream outage: fallbacks answer, the circuit breaker opens soon, and closes soon after the upstream returns."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

from chatfleet_contract.metrics import UPSTREAM_ATTEMPTS_TOTAL, UPSTREAM_CIRCUIT_OPEN
from chatfleet_contract.spec.providers import Retries
from chatfleet_lab.chaos.fleet import Pod, Settings
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict
from harness.clients.client import STREAMED, Question
from harness.clients.received import ReceivedStream
from harness.faults.proxy import Proxy
from harness.faults.toxics import HEALTHY, REFUSING
from harness.net import LOOPBACK
from harness.polling import eventually_async
from harness.upstream.script import Script

REQUESTS = {"short": 150, "long": 2_000}
"""While the upstream is away."""
APART = 0.02
"""Seconds between two requests: 50 a second, so that ten failures come in 2 s also on a busy machine."""
TOKENS = 3
MOST_ATTEMPTS = 1.2
"""At the upstream that is away, for each request."""
OPEN_WITHIN = {"short": 4.0, "long": 2.0}
"""Seconds in which its circuit must open; the short form runs on busy machines."""
WITHIN = 15.0
"""Seconds after its return in which it must be asked again."""
PROBE = 0.2
"""Seconds between two requests after its return."""
AWAY, INSTEAD = "openai", "anthropic"
ANSWERED = 0.999


async def play(trial: Trial) -> Findings:
    """Take an upstream away under requests, and bring it back."""
    async with Proxy(trial.upstream.port) as line:
        fallbacks = {AWAY: (INSTEAD,)} if trial.protected else {}
        origins = {AWAY: f"http://{LOOPBACK}:{line.port}"}
        settings = Settings(retries=Retries(max=1), origins=origins, fallbacks=fallbacks)
        async with trial.fleet(settings) as fleet:
            return await _outage(trial, fleet.pods[0], line)


async def _outage(trial: Trial, pod: Pod, line: Proxy) -> Findings:
    questions = [
        Question(Script(trial.key(), TOKENS), AWAY, STREAMED[number % 2]) for number in range(REQUESTS[trial.size])
    ]

    async def ask(number: int) -> ReceivedStream:
        await asyncio.sleep(number * APART)
        return await trial.client.ask(pod.url, questions[number])

    await line.set(REFUSING)
    line.reset()
    asking = asyncio.gather(*map(ask, range(len(questions))))
    opened = await _time(pod, 1, WITHIN)
    found = findings(await trial.judge_all(questions, await asking), await _attempts(pod))
    found.figures["circuit opened after ms"] = milliseconds(opened)
    found.require(opened <= OPEN_WITHIN[trial.size], f"The circuit opened only after {opened:.1f} s.")
    await line.set(HEALTHY)
    back = asyncio.create_task(_keep_asking(trial, pod))
    healed = await _time(pod, 0, 2 * WITHIN)
    back.cancel()
    found.figures["circuit closed after ms"] = milliseconds(healed)
    found.require(healed <= WITHIN, f"The circuit closed only {healed:.1f} s after the upstream's return.")
    return found


async def _time(pod: Pod, suspended: int, seconds: float) -> float:
    """Return how long it takes until the circuit is open (1) or closed (0), at most so many seconds."""
    began = monotonic()

    async def so() -> bool:
        return await pod.metric(UPSTREAM_CIRCUIT_OPEN, provider=AWAY) == suspended

    with suppress(TimeoutError):
        await eventually_async(so, seconds=seconds)
    return monotonic() - began


async def _attempts(pod: Pod) -> int:
    return round(await pod.metric(UPSTREAM_ATTEMPTS_TOTAL, provider=AWAY))


async def _keep_asking(trial: Trial, pod: Pod) -> None:
    while True:
        await trial.client.ask(pod.url, Question(Script(trial.key(), TOKENS), AWAY))
        await asyncio.sleep(PROBE)


def findings(judged: Sequence[Judgement], attempts: int) -> Findings:
    """Tell how many were answered all the same, and what that took. Pure."""
    complete = sum(verdict is Verdict.COMPLETE for _, _, verdict in judged)
    waits = [received.waits[0] for _, received, _ in judged if received.waits]
    found = Findings(
        {
            "requests": len(judged),
            "answered %": round(100 * complete / len(judged), 2),
            "attempts per request": round(attempts / len(judged), 3),
            "first event p50 ms": milliseconds(percentile(waits, 0.5)),
            "first event p99 ms": milliseconds(percentile(waits, 0.99)),
        }
    )
    found.require(complete >= ANSWERED * len(judged), f"Of {len(judged)} requests {complete} were answered.")
    found.require(attempts <= MOST_ATTEMPTS * len(judged), f"{len(judged)} requests made {attempts} attempts.")
    return found


SCENARIO = Scenario(
    "fallback and circuit breaker",
    "The circuit opens within 2 s of an upstream outage, the fallback answers, and it closes within 15 s of its end.",
    "no fallbacks",
    play,
    hurt=("requests",),
    targets={
        "answered %": "≥ 99.9",
        "attempts per request": "≤ 1.2",
        "circuit opened after ms": "≤ 2,000",
        "circuit closed after ms": "≤ 15,000",
    },
    aim="one outage",
)
