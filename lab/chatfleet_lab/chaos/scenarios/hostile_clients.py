"""Hostile clients: who dribbles headers or a body is shown the door in time, and costs other streams nothing.

Nor does who reads its answer a byte a second. All of them are in a process of their own, and the processors' time of
each process is noted: on one machine, what streams beside them wait for may be the harness.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec

from chatfleet_api.server.protocol import HEADERS_SECONDS
from chatfleet_api.web.middleware.body_limit import BODY_SECONDS
from chatfleet_lab.chaos.crowd import TICK, Group
from chatfleet_lab.chaos.fleet import Pod, Settings
from chatfleet_lab.chaos.measure import milliseconds, percentile
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, outcome
from harness.clients.client import Question
from harness.clients.received import ReceivedStream
from harness.process import awaited, started
from harness.upstream.script import Script

NORMAL = {"short": 15, "long": 200}
"""Streams beside the hostile clients."""
GAP = 0.1
ALONE = 30
"""Tokens of the streams by which the pod is measured before."""
GRACE = 2.0
"""Seconds beyond the deadline in which a hostile client must be gone."""
MOST_MEMORY = 100
"""Megabytes that hostile clients may cost."""
PAGE = 4_096


class Kind(NamedTuple):
    """A way to be slow."""

    name: str
    begins: str
    seconds: float
    """That it may last."""


_HEADERS = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
HEADERS = Kind("slow headers", _HEADERS + "x-slow: ", HEADERS_SECONDS)
BODY = Kind("slow body", _HEADERS + "content-type: application/json\r\ncontent-length: 4000\r\n\r\n{", BODY_SECONDS)
CLIENTS: dict[str, dict[Kind, int]] = {"short": {HEADERS: 100}, "long": {HEADERS: 1_500, BODY: 500}}
"""How many of each; a body may take half a minute, too long for the short form."""
READERS = {"short": 50, "long": 500}
"""Clients that take a byte a second of their answer."""
UNREAD = Script("x" * 1_000, 30, gap=1.0)
"""What they ask for: few tokens, so that they are no load by what they ask, and 30 kB of them."""


async def play(trial: Trial) -> Findings:
    """Measure some streams alone, then beside clients that dribble."""
    async with trial.fleet(Settings(server=trial.server)) as fleet:
        (pod,) = fleet.pods
        alone = await _streams(trial, pod, ALONE)
        before = _memory(pod)
        kinds = CLIENTS[trial.size]
        longest = max(kind.seconds for kind in kinds) + 2 * GRACE
        beside = asyncio.ensure_future(_streams(trial, pod, round(longest / GAP)))
        pids = {"pod": pod.program.pid, "upstream": trial.upstream.program.pid, "harness": os.getpid()}
        busy, began = {name: _processor(pid) for name, pid in pids.items()}, monotonic()
        lasted = await _crowd(trial, pod, kinds, longest)
        took = monotonic() - began
        shares = {
            f"processor of {name} %": round(100 * (_processor(pid) - busy[name]) / took) for name, pid in pids.items()
        }
        grown = _memory(pod) - before
        found = findings(alone, await beside, lasted)
    found.figures |= {"readers of a byte a second": READERS[trial.size], "memory MB": grown, **shares}
    found.require(grown <= MOST_MEMORY, f"The pod grew by {grown} MB.")
    return found


async def _streams(trial: Trial, pod: Pod, tokens: int) -> list[Judgement]:
    scripts = [Script(trial.key(), tokens, gap=GAP) for _ in range(NORMAL[trial.size])]
    return await trial.ask_all([Question(script, "openai") for script in scripts], lambda: pod.url, patience=120)


async def _crowd(trial: Trial, pod: Pod, kinds: Mapping[Kind, int], longest: float) -> list[tuple[Kind, float]]:
    """Let the hostile clients come and be gone; return how long the pod bore those that dribble."""
    dribblers = [Group([kind.begins] * number, longest) for kind, number in kinds.items()]
    readers = Group([_unread(trial) for _ in range(READERS[trial.size])], longest, reads=True)
    (file := trial.folder / "crowd.json").write_bytes(msgspec.json.encode([*dribblers, readers]))
    command = (sys.executable, "-m", "chatfleet_lab.chaos.crowd", str(pod.port), file)
    async with awaited(started("crowd", command, folder=trial.folder)) as program:
        await program.ended()
    told = msgspec.json.decode(program.log.read_bytes(), type=list[list[float]])
    return [(kind, seconds) for kind, lasted in zip(kinds, told, strict=False) for seconds in lasted]


def _unread(trial: Trial) -> str:
    """Return the request of a client that takes a byte a second."""
    script = msgspec.structs.replace(UNREAD, key=UNREAD.key + trial.key())
    body = msgspec.json.encode(Question(script, "openai").body()).decode()
    return f"{_HEADERS}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"


def _processor(pid: int) -> float:
    """Return the seconds of processors that a process has used (proc(5))."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _memory(pod: Pod) -> int:
    """Return what a pod has of the machine's memory, in MB (proc(5))."""
    return int(Path(f"/proc/{pod.program.pid}/statm").read_text().split()[1]) * PAGE // 1_000_000


def findings(alone: Sequence[Judgement], beside: Sequence[Judgement], lasted: Sequence[tuple[Kind, float]]) -> Findings:
    """Tell how streams fared alone and beside hostile clients, and when those were gone. Pure."""
    found = Findings()
    for _, received, verdict in beside:
        found.require(
            verdict is Verdict.COMPLETE, f"A stream beside hostile clients ended as {outcome(verdict, received)}."
        )
    for kind, seconds in lasted:
        found.count(f"clients with {kind.name}")
        name = f"{kind.name}: gone after s, slowest"
        found.figures[name] = max(round(seconds, 1), float(found.figures.get(name, 0)))
        found.require(seconds >= kind.seconds - TICK, f"A client with {kind.name} was not let be slow at all.")
        found.require(
            seconds <= kind.seconds + GRACE, f"A client with {kind.name} was still there after {seconds:.1f} s."
        )
    found.figures |= {
        "streams beside them": len(beside),
        "between tokens p99 ms, alone": milliseconds(_gap(alone)),
        "between tokens p99 ms, beside them": milliseconds(_gap(beside)),
    }
    return found


def _gap(judged: Sequence[Judgement]) -> float:
    streams: list[ReceivedStream] = [one.received for one in judged]
    gaps = [after - before for received in streams for before, after in pairwise(received.times)]
    return percentile(gaps, 0.99)


SCENARIO = Scenario(
    "hostile clients",
    "Slow clients are disconnected within 2 s of their deadline; other streams are whole.",
    "a relay without deadlines",
    play,
    hurt=("clients with slow headers", "clients with slow body", "readers of a byte a second"),
    targets={
        "slow headers: disconnected after s, slowest": "≤ 12",
        "slow body: disconnected after s, slowest": "≤ 32",
        "memory MB": "≤ 100",
    },
    aim="2,000 slow connections and 500 readers at 1 B/s beside 200 streams",
)
