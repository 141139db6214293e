"""Resuming: clients leave, pods are killed, and whoever comes back to any pod sees each token once, and one end."""

import asyncio
from collections.abc import Iterator, Sequence

from chatfleet_api.chat.takeover import MAX_TAKEOVERS
from chatfleet_lab.chaos.fleet import CONTINUED, Fleet, Settings
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.scenario import LOOK, Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, outcome
from harness.clients.client import RESUMABLE, Question
from harness.clients.follower import FollowedStream, follow
from harness.polling import eventually_async
from harness.redis.proxied import open_direct
from harness.upstream.script import Script

PODS = 3
READERS = {"short": 18, "long": 100}
"""Who read at the same time."""
STREAMS = {"short": 1, "long": 8}
"""That each of them reads, one after the other."""
KILLS = {"short": 2, "long": 20}
TOKENS = {"short": 70, "long": 120}
GAP = 0.1
"""With the tokens 7 s or 12 s: longer than two takeovers."""
STAY = (0.2, 3.0)
"""Seconds after which a reader leaves: somewhere between these."""
BETWEEN = {"short": (1.0, 3.0), "long": (4.0, 7.0)}
"""Seconds before a kill. In the long form, time for a takeover: who is hit twice at once waits twice."""
PATIENCE = 20.0
"""Seconds beyond its length that a reader waits for the end of an answer."""
SILENT = {"short": 6.0, "long": 3.0}
"""Seconds that the death of its pod may cost a reader; the short form runs on busy machines."""
SETTLED = 30.0
"""Seconds after which no answer may be pending."""
MODELS = ("openai", *CONTINUED)


async def play(trial: Trial) -> Findings:
    """Read, leave and come back, while pods are killed and replaced."""
    async with open_direct(trial.folder / "redis") as redis:
        settings = Settings(redis_url=redis.url if trial.protected else None)
        async with trial.fleet(settings, pods=PODS) as fleet:
            readers = asyncio.gather(*(_read(trial, fleet) for _ in range(READERS[trial.size])))
            kills = await _kill(trial, fleet, readers)
            read = [one for of_reader in await readers for one in of_reader]
            questions = [question for question, _ in read]
            judged = await trial.judge_all(questions, [stream.received for _, stream in read])
            calls = await trial.upstream.ledger(question.script for question in questions)
            asked = [len(calls[question.script.key]) for question in questions]
            found = findings(judged, asked, [stream for _, stream in read], SILENT[trial.size])
            found.figures = {"kills": kills, **found.figures}
            if trial.protected:
                await _all_settled(trial, fleet, questions, found)
            return found


async def _read(trial: Trial, fleet: Fleet) -> list[tuple[Question, FollowedStream]]:
    """Read some answers, one after the other."""
    read = []
    for _ in range(STREAMS[trial.size]):
        question = await _question(trial, fleet)
        patience = question.script.tokens * GAP + PATIENCE
        stays = _stays(trial)
        read.append((question, await follow(trial.client, lambda: fleet.url, question, stays=stays, patience=patience)))
    return read


async def _question(trial: Trial, fleet: Fleet) -> Question:
    key, tokens = trial.key(), TOKENS[trial.size]
    dialect, model = trial.random.choice(RESUMABLE), trial.random.choice(MODELS)
    conversation = await trial.conversation(lambda: fleet.url) if dialect == "native" else None
    return Question(Script(key, tokens, gap=GAP), model, dialect, conversation, once=conversation and key)


def _stays(trial: Trial) -> Iterator[float]:
    while True:
        yield trial.random.uniform(*STAY)


async def _kill(
    trial: Trial, fleet: Fleet, readers: "asyncio.Future[list[list[tuple[Question, FollowedStream]]]]"
) -> int:
    """Kill pods at random, and replace them, as long as somebody reads; return how many."""
    kills = 0
    while kills < KILLS[trial.size]:
        await asyncio.wait([readers], timeout=trial.random.uniform(*BETWEEN[trial.size]))
        if readers.done():
            break
        trial.random.choice(fleet.running).program.kill()
        kills += 1
        await fleet.add()
    return kills


def findings(
    judged: Sequence[Judgement], asked: Sequence[int], followed: Sequence[FollowedStream], silent: float
) -> Findings:
    """Tell what readers got, and how long they waited for it at most; `asked` is how often the upstream was. Pure."""
    found = Findings({"answers": len(judged)})
    for (question, received, verdict), times in zip(judged, asked, strict=True):
        found.count(verdict)
        goes_on = question.model in CONTINUED and times <= MAX_TAKEOVERS
        allowed = (Verdict.COMPLETE,) if goes_on else (Verdict.COMPLETE, Verdict.INTERRUPTED)
        found.require(
            verdict in allowed, f"{question.dialect} of {question.model} ended as {outcome(verdict, received)}."
        )
    returns = [wait for stream in followed for wait in stream.returns]
    longest = [max(stream.received.waits, default=0.0) for stream in followed]
    found.require(bool(returns), "No client came back.")
    found.require(max(longest) <= silent, f"A reader waited {max(longest):.1f} s for the next event.")
    found.figures |= {
        "returns": len(returns),
        "resume p50 ms": milliseconds(percentile(returns, 0.5)),
        "resume p99 ms": milliseconds(percentile(returns, 0.99)),
        "longest wait p99 ms": milliseconds(percentile(longest, 0.99)),
        "longest wait ms": milliseconds(max(longest)),
    }
    return found


async def _all_settled(trial: Trial, fleet: Fleet, questions: Sequence[Question], found: Findings) -> None:
    """Look whether each conversation has one message and one answer, which is not pending."""
    talks = [question for question in questions if question.conversation]

    async def settled() -> bool:
        kept = [await trial.client.messages(fleet.url, str(question.conversation)) for question in talks]
        return all([m.role for m in messages] == ["user", "assistant"] for messages in kept) and not any(
            message.status == "pending" for messages in kept for message in messages
        )

    try:
        await eventually_async(settled, seconds=SETTLED, every=LOOK)
    except TimeoutError:
        found.require(holds=False, otherwise=f"After {SETTLED:g} s answers were pending, or there twice.")


SCENARIO = Scenario(
    "resume",
    "A client that resumes at any pod receives each token once and one end, also when pods are killed.",
    "no Redis: each pod keeps its streams to itself",
    play,
    hurt=("kills", "answers", "returns"),
    targets={"resume p99 ms": "≤ 2,000", "longest wait ms": "≤ 3,000", "lost": "0", "duplicated": "0"},
    aim="100 kills under 300 streams; 1,000 streams",
    on_node=True,
)
