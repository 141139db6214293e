"""The death of a pod: what it was streaming never looks whole, other pods go on, and what was acknowledged is kept."""

import asyncio

import aiohttp

from chatfleet_lab.chaos.fleet import Pod, Settings
from chatfleet_lab.chaos.scenario import Findings, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict
from harness.clients.client import STREAMED, Question
from harness.redis.proxied import open_direct
from harness.upstream.script import Script

STREAMS = {"short": 20, "long": 75}
"""On each of the two pods."""
ROUNDS = {"short": 1, "long": 6}
TOKENS = 60
GAP = 0.05
AFTER = (0.0, 1.5)
"""Seconds between the streams' beginning and the kill: somewhere between these."""


async def play(trial: Trial) -> Findings:
    """Kill one of two pods in the midst of its streams, again and again."""
    found = Findings()
    for number in range(ROUNDS[trial.size]):
        async with open_direct(trial.folder / f"redis-{number}") as redis:
            await _round(trial, found, Settings(redis_url=redis.url, server=trial.server))
    return found


async def _round(trial: Trial, found: Findings, settings: Settings) -> None:
    async with trial.fleet(settings, pods=2) as fleet:
        victim, other = fleet.pods
        doomed, untouched = await _questions(trial, victim), await _questions(trial, other)
        streams = asyncio.gather(trial.ask_all(doomed, lambda: victim.url), trial.ask_all(untouched, lambda: other.url))
        await trial.until_streaming([*doomed, *untouched])
        await asyncio.sleep(trial.random.uniform(*AFTER))
        victim.program.kill()
        found.count("pods killed")
        of_victim, of_other = await streams
        for judged in of_victim:
            found.count(f"of the killed pod: {judged.verdict}")
            found.require(judged.verdict is Verdict.CUT, f"A stream of the killed pod ended as {judged.verdict}.")
        for judged in of_other:
            found.count(f"of the other pod: {judged.verdict}")
            found.require(judged.verdict is Verdict.COMPLETE, f"A stream of the other pod ended as {judged.verdict}.")
        for question in doomed:
            if question.conversation is not None:
                await _require_kept(trial, found, question, question.conversation, other)


async def _questions(trial: Trial, pod: Pod) -> list[Question]:
    questions = []
    dialects = STREAMED if trial.protected else ("openai",)
    for number in range(STREAMS[trial.size]):
        script, dialect = Script(trial.key(), TOKENS, gap=GAP), dialects[number % len(dialects)]
        conversation = await trial.conversation(lambda: pod.url) if dialect == "native" else None
        questions.append(Question(script, "openai", dialect, conversation))
    return questions


async def _require_kept(trial: Trial, found: Findings, question: Question, conversation: str, other: Pod) -> None:
    """Look, at the other pod, for the user's message and for an answer that is not said to be whole."""
    try:
        kept = await trial.client.messages(other.url, conversation)
    except aiohttp.ClientError as error:
        found.require(holds=False, otherwise=f"A conversation of the killed pod cannot be read: {error}.")
        return
    found.count("conversations kept")
    asked = [message.content for message in kept if message.role == "user"]
    answers = [message.status for message in kept if message.role == "assistant"]
    found.require(asked == [question.script.question], "A message that was acknowledged is lost.")
    found.require("complete" not in answers, "An answer that was cut is kept as whole.")


SCENARIO = Scenario(
    "pod crash",
    "Streams of a killed pod never look complete, other pods go on, and acknowledged messages are kept.",
    "a relay that ends its responses by closing the connection",
    play,
    hurt=("pods killed",),
    aim="100 kills under 300 streams",
    on_node=True,
)
