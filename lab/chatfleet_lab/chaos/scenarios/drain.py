"""Drain: a pod that is asked to end takes no more, and every stream that it has comes to its true end."""

import asyncio

from chatfleet_contract.spec import Streaming
from chatfleet_lab.chaos.fleet import Pod, Settings
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, outcome
from harness.clients.client import STREAMED, Question
from harness.upstream.script import Script

STREAMS = {"short": 60, "long": 150}
ROUNDS = {"short": 1, "long": 5}
GAP = 0.05
TOKENS = 100
"""With the gap, 5 s."""
SHORT_LIFE = 2
"""Seconds that a stream may last in the control run, too short for any of these."""
REFUSES = 3.0
"""Seconds after which an ending pod takes no connection any more: its last call is 2 s, and a busy machine is late."""


async def play(trial: Trial) -> Findings:
    """Ask a pod to end in the midst of its streams, again and again."""
    found = Findings()
    for _ in range(ROUNDS[trial.size]):
        await _round(trial, found)
    return found


async def _round(trial: Trial, found: Findings) -> None:
    settings = Settings(streaming=Streaming(max_stream_seconds=600 if trial.protected else SHORT_LIFE))
    async with trial.fleet(settings, pods=2) as fleet:
        ending, other = fleet.pods
        questions = [
            Question(Script(trial.key(), TOKENS, gap=GAP), "openai", STREAMED[number % 2])
            for number in range(STREAMS[trial.size])
        ]
        streams = asyncio.ensure_future(trial.ask_all(questions, lambda: ending.url))
        await trial.until_streaming(questions)
        ending.program.terminate()
        refused = await _refuses(trial, ending)
        found.require(refused, f"A pod still accepted connections after {REFUSES:g} s.")
        late = await trial.ask_all([Question(Script(trial.key(), 3), "openai")], lambda: other.url)
        for judged in (*await streams, *late):
            _tell(found, judged)
        status = await ending.program.ended()
        found.require(status == 0, f"The pod ended with status {status}: {ending.program.last_words()}")


async def _refuses(trial: Trial, pod: Pod) -> bool:
    for _ in range(round(REFUSES / 0.05)):
        if not await trial.client.reaches(pod.url):
            return True
        await asyncio.sleep(0.05)
    return False


def _tell(found: Findings, judged: Judgement) -> None:
    found.require(
        judged.verdict is Verdict.COMPLETE,
        f"A stream of {judged.question.dialect} ended as {outcome(judged.verdict, judged.received)}.",
    )
    found.count("streams")
    found.count(judged.verdict)


SCENARIO = Scenario(
    "drain",
    "On SIGTERM a pod refuses new connections, completes every stream, and exits with status 0.",
    f"maxStreamSeconds: {SHORT_LIFE}, which cuts the wait for open streams short",
    play,
    hurt=("streams",),
    targets={"cut": "0"},
    aim="10,000 streams, 20 rollouts",
    on_node=True,
)
