"""Tools of a tool server, which pods call: pods die at any moment of an answer, and no call is made twice.

The tool server writes each call down before it answers. `create` must not be repeated; `search` only reads, and may be.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

from chatfleet_lab.chaos.fleet import Fleet, Pod, Settings
from chatfleet_lab.chaos.scenario import AGAIN, LOOK, Findings, Scenario, Trial
from harness.clients.events import EventParser
from harness.polling import eventually_async
from harness.redis.proxied import Redis, open_direct
from harness.upstream.mcp_server import McpServerProcess, mcp_server

KILLS = {"short": 3, "long": 1_000}
PODS = {"short": 3, "long": 8}
AT_A_TIME = {"short": 1, "long": 2}
"""Kills that go on beside each other, each until its pod is replaced."""
AT_ONCE = 24
"""Answers."""
BETWEEN = (0.2, 1.2)
"""Seconds from the moment in which a pod is replaced to the next kill."""
CALL = (0.0, 1.2)
"""Seconds that a call takes."""
ENDED = 90.0
"""Seconds in which another pod has taken over and ended an answer."""
MODEL: Final = "tools@40"
TOOLS: Final = ("create", "create", "create", "search")
TEXT: Final = "response.output_text.delta"
UNKNOWN: Final[Mapping[str, Any]] = {"status": "unknown"}
ENDINGS: Final = frozenset({"completed", "failed"})

Response = Mapping[str, Any]


async def play(trial: Trial) -> Findings:
    """Request answers that call a tool, at any pod, and kill pods meanwhile."""
    found = Findings({"answers": 0, "pods killed": 0, "calls made twice": 0, "calls lost silently": 0})
    with mcp_server(trial.folder) as server:
        async with open_direct(trial.folder / "redis") as redis, aiohttp.ClientSession() as session:
            settings = Settings(
                redis_url=redis.url,
                scripted=(MODEL,),
                tool_server=server.url,
                server=trial.server_without("steps"),
            )
            async with trial.fleet(settings, pods=PODS[trial.size]) as fleet:
                asking = _Asking(trial, found, fleet, session)
                workers = [asyncio.create_task(asking.run()) for _ in range(AT_ONCE)]
                await _kill_pods(asking, server)
                asking.is_over = True
                await asyncio.gather(*workers)
                await _all_have_ended(redis)
        _judge(found, asking.ended, Counter(str(call["key"]) for call in server.ledger()))
    return found


async def _kill_pods(asking: "_Asking", server: McpServerProcess) -> None:
    trial, fleet = asking.trial, asking.fleet
    left = iter(range(KILLS[trial.size]))

    async def one_by_one() -> None:
        for _ in left:
            await asyncio.sleep(trial.random.uniform(*BETWEEN))
            pod = await _pod_to_kill(asking, server)
            pod.program.kill()
            fleet.pods.remove(pod)
            asking.found.count("pods killed")
            await fleet.add()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME[trial.size]):
            group.create_task(one_by_one())


async def _pod_to_kill(asking: "_Asking", server: McpServerProcess) -> Pod:
    """Return any pod in the long form; in the short one, that with the most calls of `create` under way."""
    trial, fleet = asking.trial, asking.fleet
    if trial.size == "long":
        return trial.random.choice(fleet.pods)

    waits = Counter[str]()

    def some_wait() -> bool:
        called = {call["key"] for call in server.ledger()}
        waits.clear()
        waits.update(url for key, url in asking.creating.items() if key in called)
        return any(pod.url in waits for pod in fleet.pods)

    await eventually_async(some_wait, seconds=ENDED, every=LOOK)
    pod = max(fleet.pods, key=lambda pod: waits[pod.url])
    asking.found.figures["calls under way at kills"] = (
        int(asking.found.figures.get("calls under way at kills", 0)) + waits[pod.url]
    )
    return pod


async def _all_have_ended(redis: Redis) -> None:
    """Wait until no pod has an answer: one that was cut before its id came may be taken over, and call its tool."""

    async def none_is_owned() -> bool:
        return not await redis.servers[0].command("KEYS", "*:owned:*")

    await eventually_async(none_is_owned, seconds=ENDED, every=AGAIN)


@dataclass
class _Asking:
    """Answers to requests that come one after the other."""

    trial: Trial
    found: Findings
    fleet: Fleet
    session: aiohttp.ClientSession
    ended: dict[tuple[str, str], Response | None] = field(default_factory=dict)
    """By tool and key; None: its request broke off before the id of the answer came."""
    creating: dict[str, str] = field(default_factory=dict)
    """Keys of answers that call `create` and have no text yet, and where their pod is."""
    is_over: bool = False

    async def run(self) -> None:
        while not self.is_over:
            tool, key = self.trial.random.choice(TOOLS), self.trial.key()
            arguments = {"key": key, "seconds": round(self.trial.random.uniform(*CALL), 2)}
            asked = f"tickets__{tool} {msgspec.json.encode(arguments).decode()}"
            body = {"model": MODEL, "input": asked, "stream": True, "background": True}
            url = self.fleet.url
            if tool == "create":
                self.creating[key] = url
            ident, response = await self._read(url, body, key)
            self.creating.pop(key, None)
            if response is None and ident is not None:
                response = await self._taken_over(ident)
            self.ended[tool, key] = response

    async def _read(self, url: str, body: Mapping[str, Any], key: str) -> tuple[str | None, Response | None]:
        """Return the id of the answer if it began, and the answer if its pod brought it to its end."""
        ident = None
        try:
            async with self.session.post(f"{url}/v1/responses", json=body) as reply:
                events = EventParser()
                async for data in reply.content.iter_any():
                    for event in events.feed(data):
                        told = msgspec.json.decode(event.data)
                        if told.get("type") == TEXT:
                            self.creating.pop(key, None)
                        shown = told.get("response")
                        ident = shown["id"] if shown else ident
                        if shown and shown["status"] in ENDINGS:
                            return ident, shown
        except aiohttp.ClientError:
            self.found.count("answers cut")
        return ident, None

    async def _taken_over(self, ident: str) -> Response:
        async with asyncio.timeout(ENDED):
            while True:
                try:
                    async with self.session.get(f"{self.fleet.url}/v1/responses/{ident}") as reply:
                        shown: Response = await reply.json() if reply.ok else UNKNOWN
                except aiohttp.ClientError:
                    shown = UNKNOWN
                if shown["status"] in ENDINGS:
                    self.found.count("answers taken over")
                    return shown
                await asyncio.sleep(AGAIN)


def _judge(found: Findings, ended: Mapping[tuple[str, str], Response | None], calls: Counter[str]) -> None:
    for (tool, key), response in ended.items():
        found.count("answers")
        made = calls[key]
        if tool == "create" and made > 1:
            found.count("calls made twice")
        if response is None:
            continue
        if response["status"] == "failed":
            shown = key in _shown_calls(response)
            found.count("answers interrupted, with the call shown" if shown else "answers failed otherwise")
        if made and key not in _shown_calls(response):
            found.count("calls lost silently")
        if response["status"] == "completed" and not made:
            found.count("answers without their call")
    for what in ("calls made twice", "calls lost silently", "answers without their call"):
        number = found.figures.get(what, 0)
        found.require(not number, f"Of {found.figures['answers']} answers {number} have {what}.")


def _shown_calls(response: Response) -> str:
    """Return what an answer says of its calls: whole, it has the result; interrupted, the call that may be made."""
    if response["status"] == "completed":
        return str([part["text"] for item in response["output"] for part in item.get("content", ())])
    return str([item["arguments"] for item in response["output"] if item["type"] == "mcp_call"])


SCENARIO = Scenario(
    "agent tools",
    "No call of a tool that must not be repeated is made twice, and none is lost silently, although pods are killed.",
    "Chatfleet whose pods find no call of a tool in the log",
    play,
    hurt=("answers", "pods killed"),
    targets={"calls made twice": "0", "calls lost silently": "0"},
    aim="1,000 pods killed",
)
