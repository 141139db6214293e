"""Concurrency slots: what clients that leave and pods that die had taken of `concurrentStreams` comes back."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from time import monotonic
from typing import Final

from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Limit
from chatfleet_lab.chaos.fleet import Fleet, Settings
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed
from harness.clients.client import Question
from harness.polling import eventually_async
from harness.redis.proxied import open_direct
from harness.upstream.script import Script

SLOTS: Final = 12
KILLS: Final = {"short": 1, "long": 5}
LEAVE_AFTER: Final = 1.0
"""Seconds after which a client leaves."""
ENDLESS: Final = 600
"""Tokens that nobody waits for."""
GAP: Final = 0.1
FIRST: Final = 1.0
"""Seconds before a first token: all are asked for before one has ended."""
BACK_WITHIN: Final = 25.0
"""Seconds after a death: a lease is 15 s, and pods and machines are late."""
APART: Final = 1.0
"""Seconds between two looks, of which each is twice as many requests as there are slots."""


async def play(trial: Trial) -> Findings:
    """Take all slots, leave, take them again, and kill the pod that has them; then look how many there are."""
    found = Findings()
    limits = Limits(per_tenant=Limit(concurrent_streams=SLOTS))
    async with open_direct(trial.folder / "redis") as redis:
        settings = Settings(redis_url=redis.url, limits=limits, server=trial.server_without("leases"))
        async with trial.fleet(settings, pods=2) as fleet:
            for _ in range(KILLS[trial.size]):
                await _round(trial, found, fleet)
    return found


async def _round(trial: Trial, found: Findings, fleet: Fleet) -> None:
    victim, other = fleet.running
    await trial.ask_all(_questions(trial, SLOTS, ENDLESS), lambda: victim.url, patience=LEAVE_AFTER)
    left = await _served(trial, found, other.url)
    found.require(left == SLOTS, f"{SLOTS - left} slots are leaked by clients that left.")
    doomed = _questions(trial, SLOTS, ENDLESS)
    asking = asyncio.ensure_future(trial.ask_all(doomed, lambda: victim.url))
    await trial.until_streaming(doomed)
    victim.program.kill()
    died = monotonic()
    await asking
    found.count("pods killed")
    back = 0

    async def all_are_back() -> bool:
        nonlocal back
        back = await _served(trial, found, other.url)
        return back == SLOTS

    with suppress(TimeoutError):
        await eventually_async(all_are_back, seconds=BACK_WITHIN, every=APART)
    found.figures |= {"slots": SLOTS, "leaked": SLOTS - back, "back within s": round(monotonic() - died, 1)}
    found.require(back == SLOTS, f"{SLOTS - back} slots are leaked by a pod that was killed.")
    await fleet.add()


async def _served(trial: Trial, found: Findings, url: str) -> int:
    """Return how many of twice as many answers as there are slots are written, all asked for at once."""
    judged = await trial.ask_all(_questions(trial, 2 * SLOTS, 1, FIRST), lambda: url)
    _require_refusals(found, judged)
    return sum(verdict is Verdict.COMPLETE for _, _, verdict in judged)


def _require_refusals(found: Findings, judged: Sequence[Judgement]) -> None:
    whole = sum(verdict is Verdict.COMPLETE for _, _, verdict in judged)
    found.require(whole <= SLOTS, f"{whole} answers were written at the same time, and there are {SLOTS} slots.")
    for _, received, verdict in judged:
        found.require(
            verdict is Verdict.COMPLETE
            or (received.status, received.ends) == (HTTPStatus.TOO_MANY_REQUESTS, ["limit_exceeded"]),
            f"A request without a slot got status {received.status} and {listed(received.ends)}.",
        )


def _questions(trial: Trial, number: int, tokens: int, first: float = 0) -> list[Question]:
    return [Question(Script(trial.key(), tokens, gap=GAP, first=first), "openai") for _ in range(number)]


SCENARIO = Scenario(
    "concurrency slots",
    "No slot of concurrentStreams is leaked by a client that leaves or a pod that is killed, nor used twice.",
    "leases that last an hour",
    play,
    hurt=("pods killed",),
    targets={"leaked": "0"},
    aim="100 pods killed",
)
