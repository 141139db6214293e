"""Where the processor time of a token goes, by sampling the running server from outside (py-spy)."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from chatfleet_lab.bench.load import held
from chatfleet_lab.bench.measure import STEADY
from chatfleet_lab.bench.packages import PY_SPY
from chatfleet_lab.bench.processes import Cores
from chatfleet_lab.bench.subjects import CHATFLEET, running

SAMPLES_PER_SECOND: Final = 250
_FILE: Final = re.compile(r"\(([^()]*)\)$")
GROUPS: Final = (
    ("asyncio/runners.py", "event loop, sockets, kernel (uvloop)"),
    ("uvicorn/", "serving HTTP (uvicorn)"),
    ("redis/", "speaking to Redis (redis-py)"),
    ("chatfleet_api/http/", "`http/`: HTTP to the upstream"),
    ("httptools/", "`http/`: HTTP to the upstream"),
    ("chatfleet_api/server/", "writing to the client: framing, and the kernel's send"),
    ("chatfleet_api/providers/", "`providers/`: reading the upstream's events, deadlines, limits"),
    ("chatfleet_api/chat/", "`chat/`: the turn, the reply so far, events"),
    ("chatfleet_api/runs/", "`runs/`: numbering, readers, the log"),
    ("chatfleet_api/redis/", "`runs/`: numbering, readers, the log"),
    ("chatfleet_api/web/dialects/", "`web/dialects/`: writing the client's events"),
    ("chatfleet_api/web/middleware/", "middleware, ours and the framework's"),
    ("chatfleet_api/web/", "`web/`: SSE streams, heartbeats, slow clients"),
    ("starlette/", "middleware, ours and the framework's"),
    ("fastapi/", "middleware, ours and the framework's"),
    ("asyncio/", "tasks, events, timers (asyncio)"),
)
"""Of a sample's innermost function: the beginning of its file, and what that is about. The first that fits counts."""
OTHERS: Final = "everything else"


def grouped(stacks: str) -> dict[str, float]:
    """Return the share of each group in collapsed stacks (`frame;frame;frame count` a line), largest first."""
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        counts[_group(stack.rpartition(";")[2])] += int(count)
    total = counts.total()
    return {name: count / total for name, count in counts.most_common()}


def _group(frame: str) -> str:
    found = _FILE.search(frame)
    file = found[1] if found else frame
    return next((name for start, name in GROUPS if file.startswith(start)), OTHERS)


async def profile(cores: Cores, seconds: int) -> dict[str, float] | None:
    """Return the groups' shares of Chatfleet under 5,000 tokens/s; None where this process may not look into others."""
    PY_SPY.install()
    with TemporaryDirectory(prefix="chatfleet-bench-") as name:
        folder = Path(name)
        async with running(CHATFLEET, folder, cores) as run, held(run.target, STEADY, streams=CHATFLEET.steady):
            sampled = await _sample(run.process.pid, folder / "stacks.txt", seconds)
        return grouped((folder / "stacks.txt").read_text()) if sampled else None


async def _sample(pid: int, stacks: Path, seconds: int) -> bool:
    how = ("record", "--format", "raw", "--function", "--rate", str(SAMPLES_PER_SECOND), "--duration", str(seconds))
    sampler = await asyncio.create_subprocess_exec(
        PY_SPY.command("py-spy"),
        *(*how, "--output", str(stacks), "--pid", str(pid)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await sampler.communicate()
    if sampler.returncode:
        sys.stderr.write(f"[bench] no profile: {said.decode(errors='replace').strip()}\n")
    return not sampler.returncode
