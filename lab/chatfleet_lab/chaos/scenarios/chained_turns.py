"""Chained responses: each turn has all that was before it, once, although pods die at any step of a turn.

The scripted model reports the words that it gets as its input, so that each answer proves its context. What a killed
pod has lost of an answer is asked for again, from the response before: a branch of the chain.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec

from chatfleet_lab.chaos.fleet import Fleet, Pod, Settings
from chatfleet_lab.chaos.scenario import AGAIN, Findings, Scenario, Trial
from harness.clients.events import EventParser
from harness.redis.proxied import open_direct

CHAINS = {"short": 4, "long": 20}
ROUNDS = {"short": 3, "long": 167}
"""Of three turns in each chain: words, a call of a tool, its result."""
RISK = {"short": 0.1, "long": 0.02}
"""How likely the pod that takes a turn is killed during it."""
DEATH = (0.0, 0.4)
"""Seconds after the request of a turn in which its pod dies."""
ENDED = 60.0
"""Seconds in which another pod has taken over and ended a turn."""
ECHO: Final = "echo@40"
TOOLS: Final = "tools@40"
ADD: Final = {"type": "function", "name": "add", "parameters": {"type": "object"}}

Response = Mapping[str, Any]


class LostError(Exception):
    """A chain cannot go on."""


async def play(trial: Trial) -> Findings:
    """Take the turns of some chains at the same time, each at any pod, and kill pods meanwhile."""
    found = Findings({"turns": 0, "turns without their context": 0, "pods killed": 0})
    async with open_direct(trial.folder / "redis") as redis, aiohttp.ClientSession() as session:
        settings = Settings(redis_url=redis.url if trial.protected else None, scripted=(ECHO, TOOLS))
        async with trial.fleet(settings, pods=2) as fleet:
            one_dies = asyncio.Lock()
            chains = [_Chain(trial, found, fleet, session, one_dies) for _ in range(CHAINS[trial.size])]
            await asyncio.gather(*(chain.run() for chain in chains))
    missing = found.figures["turns without their context"]
    turns = found.figures["turns"]
    found.require(not missing, f"Of {turns} turns {missing} lack a part of their chain, or have it twice.")
    return found


@dataclass
class _Chain:
    """One chain of responses."""

    trial: Trial
    found: Findings
    fleet: Fleet
    session: aiohttp.ClientSession
    one_dies: asyncio.Lock
    """Held while a pod dies, until there is one in its place."""
    previous: str | None = None
    words: int = 0
    """That the chain has."""
    _is_disturbed: bool = False
    """Whether a pod died during the turn."""
    _is_proven: bool = False
    """Whether the last turn had exactly the words of the chain."""

    async def run(self) -> None:
        """Take all turns, up to one that is not disturbed, and so proves the whole chain."""
        try:
            for number in range(ROUNDS[self.trial.size]):
                text = f"turn {number} of a chain"
                await self._turn(ECHO, text, text, risk=RISK[self.trial.size])
                call = f'add {{"a": {number}}}'
                response = await self._turn(TOOLS, call, "", risk=RISK[self.trial.size])
                (made,) = [item for item in response["output"] if item["type"] == "function_call"]
                result = f"is {number}"
                item = {"type": "function_call_output", "call_id": made["call_id"], "output": result}
                await self._turn(TOOLS, [item], result, risk=RISK[self.trial.size])
            self._is_proven = False
            while not self._is_proven:
                await self._turn(ECHO, "the end", "the end", risk=0)
        except LostError as lost:
            self.found.count("turns without their context")
            self.found.require(holds=False, otherwise=str(lost))

    async def _turn(self, model: str, asked: str | list[dict[str, Any]], answer: str, *, risk: float) -> Response:
        """Take one turn, as often as it takes, and look whether it has the words of the whole chain."""
        body = {"model": model, "input": asked, "tools": [ADD], "stream": True, "background": True}
        body |= {"previous_response_id": self.previous} if self.previous else {}
        words = len((asked if isinstance(asked, str) else answer).split())
        self._is_disturbed = False
        while True:
            pod = self.trial.random.choice(self.fleet.running)
            death = asyncio.create_task(self._kill(pod)) if self.trial.random.random() < risk else None
            self._is_disturbed = self._is_disturbed or death is not None
            response = await self._answered(pod, body)
            if death is not None:
                await death
            if response is not None:
                break
            await asyncio.sleep(AGAIN)
        self._judge(response, answer, self.words + words)
        self.words += words + len(answer.split())
        self.previous = response["id"]
        return response

    def _judge(self, response: Response, answer: str, words: int) -> None:
        self.found.count("turns")
        texts = [part["text"] for item in response["output"] for part in item.get("content", ())]
        counted = response["usage"]["input_tokens"]
        # A turn that was taken over counts what the dead pod sent, too; the next one counts it as part of the chain.
        self._is_proven = counted == words
        if "".join(texts) != answer or not (self._is_proven or self._is_disturbed):
            self.found.count("turns without their context")
            self._is_proven = not self._is_disturbed

    async def _answered(self, pod: Pod, body: Mapping[str, Any]) -> Response | None:
        """Return the response that is whole; None when it has to be asked for again."""
        ident = None
        try:
            async with self.session.post(f"{pod.url}/v1/responses", json=body) as reply:
                if reply.status == HTTPStatus.BAD_REQUEST:
                    raise LostError(f"A turn was refused: {(await reply.text())[:200]}")
                events = EventParser()
                async for data in reply.content.iter_any():
                    for event in events.feed(data):
                        shown = msgspec.json.decode(event.data).get("response")
                        ident = shown["id"] if shown else ident
                        if shown and shown["status"] == "completed":
                            return dict(shown)
        except aiohttp.ClientError:
            self.found.count("turns cut")
        self._is_disturbed = True
        return None if ident is None else await self._ended(ident)

    async def _ended(self, ident: str) -> Response | None:
        """Return a response that began, when another pod has ended it; None when it failed."""
        async with asyncio.timeout(ENDED):
            while True:
                try:
                    async with self.session.get(f"{self.fleet.url}/v1/responses/{ident}") as reply:
                        if reply.status == HTTPStatus.NOT_FOUND:
                            raise LostError("A response that began is not found.")
                        shown = await reply.json() if reply.ok else {"status": "in_progress"}
                except aiohttp.ClientError:
                    shown = {"status": "in_progress"}
                if shown["status"] == "completed":
                    self.found.count("turns taken over")
                    return dict(shown)
                if shown["status"] != "in_progress":
                    self.found.count(f"turns {shown['status']}, requested again")
                    return None
                await asyncio.sleep(AGAIN)

    async def _kill(self, pod: Pod) -> None:
        """Kill a pod in the midst of a turn, and get one more in its place."""
        await asyncio.sleep(self.trial.random.uniform(*DEATH))
        async with self.one_dies:
            if pod in self.fleet.pods:
                pod.program.kill()
                self.fleet.pods.remove(pod)
                self.found.count("pods killed")
                await self.fleet.add()


SCENARIO = Scenario(
    "chained turns",
    "Each turn of a chain of responses has all turns before it, once, with calls of tools, although its pod is killed.",
    "Chatfleet without Redis, whose pods keep responses for themselves",
    play,
    hurt=("turns", "pods killed"),
    targets={"turns without their context": "0"},
    aim="10,000 turns, 200 pods killed",
)
