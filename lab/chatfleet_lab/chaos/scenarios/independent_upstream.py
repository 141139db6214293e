"""An upstream that others wrote, with faults of its own making and its own verdict on whoever asked it: llmock.

The verdict is on the whole line, application and pod. What fails before its first token the pod tries again; what fails
after it the pod tells as an error, and it is the application that asks again, because only it can take back what it has
shown. An application that is told of success instead does not, and `llmock report --strict` finds it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Final

import aiohttp

from chatfleet_contract.runtime import RuntimeTimeouts
from chatfleet_contract.spec.providers import Retries
from chatfleet_lab.chaos.fleet import Fleet, Settings
from chatfleet_lab.chaos.scenario import Findings, Scenario, Trial
from chatfleet_lab.chaos.verdict import listed
from harness.clients.client import STREAMED, Question
from harness.clients.received import ReceivedStream
from harness.net import LOOPBACK, free_port
from harness.process import awaited, ready, started
from harness.upstream.script import Script

ROUNDS = {"short": 1, "long": 3}
MODELS: Final = {"openai": "gpt-4o", "anthropic": "claude-haiku-4-5-20251001", "compatible": "gpt-4o-mini"}
"""By provider, models that llmock lists: for it, checking again for one that it does not have is a retry of a 404."""
KEYED: Final = "openai"
"""The model whose requests have a cache key of their conversation: for llmock, the same question in another
conversation is no retry."""
IMPATIENT: Final = RuntimeTimeouts(connect_seconds=5, first_token_seconds=5, stall_seconds=1, total_seconds=60)
PACED = "--stream-chunk-delay-ms", "20"
"""What has all been sent before the pod can stop reading counts, for llmock, as read."""
ASKS = 3
"""How often an application asks at most."""
AFTER = 3
"""Chunks before a stream breaks."""
STALL = 10
"""Seconds: a client that has no deadline sits through it."""
REFUSED = frozenset({"context_too_long", "context_length_exceeded"})
"""What is not asked again, in our words and in OpenAI's: it would fail the same way."""
FAULTS: Final[Mapping[str, Mapping[str, object]]] = {
    "none": {},
    "429 with Retry-After": {"type": "fail", "status": 429, "retry_after": 0.5},
    "500": {"type": "fail", "status": 500},
    "503": {"type": "fail", "status": 503},
    "400": {"type": "fail", "status": 400, "code": "context_length_exceeded", "message": "context length exceeded"},
    "disconnect": {"type": "stream_fault", "kind": "disconnect", "after_chunks": AFTER},
    "truncate": {"type": "stream_fault", "kind": "truncate", "after_chunks": AFTER},
    "malformed": {"type": "stream_fault", "kind": "malformed", "after_chunks": AFTER},
    "stall": {"type": "stream_fault", "kind": "stall", "after_chunks": AFTER, "stall_seconds": STALL},
}


async def play(trial: Trial) -> Findings:
    """Let it break in every manner that it knows, and hear its verdict."""
    found = Findings()
    async with _llmock(trial.folder) as url:
        settings = Settings(
            IMPATIENT, Retries(max=3), server=trial.server, origins=dict.fromkeys(MODELS, url), names=MODELS
        )
        async with trial.fleet(settings) as fleet:
            await asyncio.gather(*(_try(trial, found, fleet, url, model) for model in MODELS))
        status, report = await _verdict(url)
    found.figures["llmock report --strict, exit status"] = status
    found.require(status == 0, f"llmock's verdict: {report}")
    return found


@asynccontextmanager
async def _llmock(folder: Path) -> AsyncIterator[str]:
    port = free_port()
    command = (sys.executable, "-m", "llmock.cli", "serve", "--port", str(port), "--response-style", "hello", *PACED)
    async with awaited(started("llmock", command, folder=folder)) as program:

        async def answers() -> bool:
            try:
                async with aiohttp.request("GET", f"http://{LOOPBACK}:{port}/health") as response:
                    return response.ok
            except aiohttp.ClientError:
                return False

        await ready(program, answers, port=port)
        yield f"http://{LOOPBACK}:{port}"


async def _try(trial: Trial, found: Findings, fleet: Fleet, llmock: str, model: str) -> None:
    """Ask a model for an answer with each fault; what is told as whole must be what comes without any."""
    whole = None
    for number, (name, fault) in product(range(ROUNDS[trial.size]), FAULTS.items()):
        if fault:
            behaviours = [{**fault, "match": {"stream": True, "model": MODELS[model]}}]
            async with aiohttp.request(
                "POST", f"{llmock}/_llmock/scenario", json={"behaviors": behaviours}
            ) as response:
                response.raise_for_status()
        dialect = STREAMED[(number + [*MODELS].index(model)) % 2] if trial.protected and model != KEYED else "openai"
        question = Question(Script(trial.key(), 1), model, dialect)
        received = await _application(trial, fleet, question, found)
        whole = whole or received.text
        found.count("answers")
        told = REFUSED if name == "400" else {"complete"}
        found.require(told.issuperset(received.ends), f"{name} of {model} ended with {listed(received.ends)}.")
        found.require(name == "400" or received.text == whole, f"{name} of {model} gave half an answer as whole.")


async def _application(trial: Trial, fleet: Fleet, question: Question, found: Findings) -> ReceivedStream:
    """Ask as an application does: again when it was told that the answer broke."""
    for _ in range(ASKS):
        received = await trial.client.ask(fleet.url, question)
        if received.ends and received.ends[0] in {"complete", *REFUSED}:
            break
        found.count(f"received by the application: {' '.join(received.ends) or received.closing}")
    return received


async def _verdict(url: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llmock.cli", "report", "--strict", "--url", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    report, _ = await process.communicate()
    return process.returncode or 0, " ".join(report.decode().split())


SCENARIO = Scenario(
    "independent upstream",
    "llmock, with its own faults and its strict verdict, finds no error of an application behind Chatfleet.",
    "a relay that reports success after any end",
    play,
    hurt=("answers",),
    targets={"llmock report --strict, exit status": "0"},
    aim="exit status 0",
)
