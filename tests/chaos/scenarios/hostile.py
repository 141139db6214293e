"""Hostile clients: who dribbles headers or a body is shown the door in time, and costs other streams nothing."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from chaos.client import Question
from chaos.fleet import Pod, Settings
from chaos.measure import milliseconds, percentile
from chaos.net import LOOPBACK
from chaos.reception import Reception
from chaos.scenario import Arena, Findings, Judged, Scenario
from chaos.script import Script
from chaos.verdict import Verdict
from chatfleet_api.middleware.body_limit import BODY_SECONDS
from chatfleet_api.protocol import HEADERS_SECONDS

NORMAL = {"short": 15, "long": 100}
"""Streams beside the hostile clients."""
GAP = 0.1
ALONE = 30
"""Tokens of the streams by which the pod is measured before."""
DRIBBLE = 1.0
"""Seconds between two bytes of a hostile client."""
GRACE = 2.0
"""Seconds beyond the deadline in which a hostile client must be gone."""
MOST_MEMORY = 100
"""Megabytes that hostile clients may cost."""
PAGE = 4_096


class Kind(NamedTuple):
    """A way to be slow."""

    name: str
    begins: bytes
    seconds: float
    """That it may last."""


_HEADERS = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
HEADERS = Kind("slow headers", _HEADERS + b"x-slow: ", HEADERS_SECONDS)
BODY = Kind("slow body", _HEADERS + b"content-type: application/json\r\ncontent-length: 4000\r\n\r\n{", BODY_SECONDS)
CLIENTS: dict[str, dict[Kind, int]] = {"short": {HEADERS: 100}, "long": {HEADERS: 1_000, BODY: 400}}
"""How many of each; a body may take half a minute, too long for the short form."""


async def play(arena: Arena) -> Findings:
    """Measure some streams alone, then beside clients that dribble."""
    async with arena.fleet(Settings(server=arena.server)) as fleet:
        (pod,) = fleet.pods
        alone = await _streams(arena, pod, ALONE)
        before = _memory(pod)
        kinds = CLIENTS[arena.size]
        longest = max(kind.seconds for kind in kinds) + 2 * GRACE
        beside = asyncio.ensure_future(_streams(arena, pod, round(longest / GAP)))
        hostile = [_dribble(pod, kind, longest) for kind, number in kinds.items() for _ in range(number)]
        lasted = await asyncio.gather(*hostile)
        grown = _memory(pod) - before
        found = findings(alone, await beside, lasted)
    found.figures["memory MB"] = grown
    found.require(grown <= MOST_MEMORY, f"The pod grew by {grown} MB.")
    return found


async def _streams(arena: Arena, pod: Pod, tokens: int) -> list[Judged]:
    scripts = [Script(arena.key(), tokens, gap=GAP) for _ in range(NORMAL[arena.size])]
    return await arena.ask_all([Question(script, "openai") for script in scripts], lambda: pod.url, patience=120)


async def _dribble(pod: Pod, kind: Kind, longest: float) -> tuple[Kind, float]:
    """Send a byte now and then; return how long the pod bore it, at most so many seconds."""
    began = monotonic()  # before the pod can have begun to count
    reader, writer = await asyncio.open_connection(LOOPBACK, pod.port)
    writer.write(kind.begins)
    with suppress(ConnectionError):
        while monotonic() - began < longest:
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), DRIBBLE)
                break
            writer.write(b"x")
    lasted = monotonic() - began
    writer.transport.abort()
    return kind, lasted


def _memory(pod: Pod) -> int:
    """Return what a pod has of the machine's memory, in MB (proc(5))."""
    return int(Path(f"/proc/{pod.program.pid}/statm").read_text().split()[1]) * PAGE // 1_000_000


def findings(alone: Sequence[Judged], beside: Sequence[Judged], lasted: Sequence[tuple[Kind, float]]) -> Findings:
    """Tell how streams fared alone and beside hostile clients, and when those were gone. Pure."""
    found = Findings()
    for _, reception, verdict in beside:
        found.require(verdict is Verdict.COMPLETE, f"A stream beside hostile clients was {verdict}: {reception.ends}.")
    for kind, seconds in lasted:
        found.count(f"clients with {kind.name}")
        name = f"{kind.name}: gone after s, slowest"
        found.figures[name] = max(round(seconds, 1), float(found.figures.get(name, 0)))
        found.require(seconds >= kind.seconds - DRIBBLE, f"A client with {kind.name} was not let be slow at all.")
        found.require(
            seconds <= kind.seconds + GRACE, f"A client with {kind.name} was still there after {seconds:.1f} s."
        )
    found.figures |= {
        "streams beside them": len(beside),
        "between tokens p99 ms, alone": milliseconds(_gap(alone)),
        "between tokens p99 ms, beside them": milliseconds(_gap(beside)),
    }
    return found


def _gap(judged: Sequence[Judged]) -> float:
    receptions: list[Reception] = [one.reception for one in judged]
    gaps = [after - before for reception in receptions for before, after in pairwise(reception.times)]
    return percentile(gaps, 0.99)


SCENARIO = Scenario(
    "hostile clients",
    "Clients that dribble headers or bodies are gone 2 s after their deadline, and streams beside them are whole.",
    "a relay without deadlines",
    play,
    hurt=("clients with slow headers", "clients with slow body"),
    targets={
        "slow headers: gone after s, slowest": "≤ 12",
        "slow body: gone after s, slowest": "≤ 32",
        "memory MB": "≤ 100",
    },
    aim="2,000 slow connections beside 200 streams",
)
