"""Pods under load: what they export while they are well, and while something is wrong with them or beside them."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp

from chatfleet_contract.metrics import (
    ARCHIVE_OLDEST_SECONDS,
    BUDGET_USED_RATIO,
    EVENT_LOOP_LAG_SECONDS,
    REDIS_ERRORS_TOTAL,
    REDIS_UP,
    RUN_TAKEOVERS_TOTAL,
    STREAMS_ENDED_TOTAL,
    UPSTREAM_CIRCUIT_OPEN,
)
from chatfleet_contract.spec import Limits, Streaming
from chatfleet_contract.spec.limits import Budget
from chatfleet_lab.alerts.recording import Recording, target
from chatfleet_lab.chaos.fleet import CONTINUED, MODELS, PROCESSES, Pod, Settings
from chatfleet_lab.chaos.scenario import Trial, open_trial
from harness.clients.client import Question
from harness.faults.proxy import Proxy
from harness.faults.toxics import REFUSING
from harness.net import LOOPBACK, free_port
from harness.polling import eventually_async
from harness.redis.proxied import Redis, open_single
from harness.upstream.script import Script

LABELS: Final = MappingProxyType({"namespace": "shop", "chatdeployment": "support"})
"""Those of every pod."""
MODEL: Final = "openai"
UNCONTINUED: Final = next(name for name in MODELS if name not in CONTINUED)
"""Its cut answers end as interrupted."""
LATE_SECONDS: Final = 10.5
"""Before a first token: more than the objective of 10.24 s."""
STREAMS: Final = 12
PAUSE_SECONDS: Final = 1.0
"""How long a pod does not run; it is late by so much."""
ARCHIVE_LATE_SECONDS: Final = 65
"""Longer than an archive that works lets a change wait."""
FULL: Final = Streaming(max_streams_per_pod=2)


async def exposition(pod: Pod) -> str:
    """Return what a pod exports now."""
    async with aiohttp.request("GET", f"{pod.health_url}/metrics") as response:
        return await response.text()


async def recorded(pod: Pod, work: Awaitable[object]) -> Recording:
    """Record a pod around some work."""
    before = await exposition(pod)
    await work
    return Recording(time.time(), (target(before, await exposition(pod), **LABELS, pod="support-0"),))


async def until(pod: Pod, metric: str, value: float, *, seconds: float = 60, **labels: str) -> None:
    """Wait until a pod exports at least a value."""

    async def is_so() -> bool:
        return await pod.metric(metric, **labels) >= value

    await eventually_async(is_so, seconds=seconds)


async def ask(trial: Trial, pod: Pod, *, first: float = 0, tokens: int = 5, gap: float = 0) -> None:
    """Let clients have answers, streamed, all at the same time."""
    scripts = (Script(trial.key(), tokens, gap=gap, first=first) for _ in range(STREAMS))
    await trial.ask_all([Question(script, MODEL) for script in scripts], lambda: pod.url)


async def converse(trial: Trial, pod: Pod) -> None:
    """Let clients have an answer in conversations, which are stored in Redis."""
    for _ in range(STREAMS):
        conversation = await trial.conversation(lambda: pod.url)
        question = Question(Script(trial.key(), 5), MODEL, "native", conversation)
        await trial.ask_all([question], lambda: pod.url)


@asynccontextmanager
async def _pod_with_redis(trial: Trial) -> AsyncIterator[tuple[Pod, Redis]]:
    async with (
        open_single(trial.folder / trial.key()) as redis,
        trial.fleet(Settings(redis_url=redis.url)) as fleet,
    ):
        await until(fleet.pods[0], REDIS_UP, 1)
        yield fleet.pods[0], redis


async def well(trial: Trial) -> Recording:
    """Answer everything at once."""

    async def work(pod: Pod) -> None:
        await ask(trial, pod)
        await converse(trial, pod)

    async with _pod_with_redis(trial) as (pod, _):
        return await recorded(pod, work(pod))


async def late(trial: Trial) -> Recording:
    """Begin answers late: their upstream is slow."""
    async with trial.fleet(Settings()) as fleet:
        return await recorded(fleet.pods[0], ask(trial, fleet.pods[0], first=LATE_SECONDS))


async def full(trial: Trial) -> Recording:
    """Refuse what is beyond the capacity."""
    async with trial.fleet(Settings(streaming=FULL)) as fleet:
        return await recorded(fleet.pods[0], ask(trial, fleet.pods[0], tokens=20, gap=0.1))


async def killed(trial: Trial) -> Recording:
    """Take over runs from a pod that is killed, whose answers cannot be continued."""
    async with (
        open_single(trial.folder / trial.key()) as redis,
        trial.fleet(Settings(redis_url=redis.url), pods=2) as fleet,
    ):
        victim, other = fleet.pods
        return await recorded(other, _kill(trial, victim, other))


async def _kill(trial: Trial, victim: Pod, other: Pod) -> None:
    conversations = [await trial.conversation(lambda: victim.url) for _ in range(STREAMS)]
    questions = [Question(Script(trial.key(), 1_000, gap=0.1), UNCONTINUED, "native", each) for each in conversations]
    asking = asyncio.gather(*(trial.client.ask(victim.url, each) for each in questions))
    await trial.until_streaming(questions)
    reading = asyncio.gather(*(_join(other, each) for each in conversations))
    victim.program.kill()
    await asyncio.gather(asking, reading)
    await until(other, RUN_TAKEOVERS_TOTAL, STREAMS)
    await until(other, STREAMS_ENDED_TOTAL, STREAMS, reason="interrupted")


async def _join(pod: Pod, conversation: str) -> None:
    async with aiohttp.request("GET", f"{pod.url}/api/v1/conversations/{conversation}/stream") as response:
        await response.read()


async def without_redis(trial: Trial) -> Recording:
    """Serve while Redis is down."""
    async with _pod_with_redis(trial) as (pod, redis):
        return await recorded(pod, _stop_redis(pod, redis))


async def _stop_redis(pod: Pod, redis: Redis) -> None:
    await (await redis.primary()).kill()

    async def down() -> bool:
        return await pod.metric(REDIS_UP) == 0

    await eventually_async(down, seconds=60)


async def redis_at_times(trial: Trial) -> Recording:
    """Lose Redis and have it back."""
    async with _pod_with_redis(trial) as (pod, redis):
        return await recorded(pod, _flap(pod, redis))


async def _flap(pod: Pod, redis: Redis) -> None:
    server = await redis.primary()
    await server.kill()
    await until(pod, REDIS_ERRORS_TOTAL, 3)
    await server.start()
    await until(pod, REDIS_UP, 1)


async def without_archive(trial: Trial) -> Recording:
    """Change conversations while the PostgreSQL of the archive refuses connections."""
    url = f"postgresql://chatfleet@{LOOPBACK}:{free_port()}/archive"
    async with (
        open_single(trial.folder / trial.key()) as redis,
        trial.fleet(Settings(redis_url=redis.url, archive_url=url)) as fleet,
    ):
        pod = fleet.pods[0]
        await until(pod, REDIS_UP, 1)
        return await recorded(pod, _wait_for_archive(trial, pod))


async def _wait_for_archive(trial: Trial, pod: Pod) -> None:
    await converse(trial, pod)
    await until(pod, ARCHIVE_OLDEST_SECONDS, ARCHIVE_LATE_SECONDS, seconds=2 * ARCHIVE_LATE_SECONDS)


async def without_upstream(trial: Trial) -> Recording:
    """Ask an upstream that refuses connections."""
    async with Proxy(trial.upstream.port) as line:
        settings = Settings(origins={MODEL: f"http://{LOOPBACK}:{line.port}"})
        async with trial.fleet(settings) as fleet:
            return await recorded(fleet.pods[0], _refuse(trial, fleet.pods[0], line))


async def _refuse(trial: Trial, pod: Pod, line: Proxy) -> None:
    await line.set(REFUSING)
    line.reset()
    await ask(trial, pod)
    await until(pod, UPSTREAM_CIRCUIT_OPEN, 1, provider=MODEL)


async def paused(trial: Trial) -> Recording:
    """Pause a pod, so that its event loop is late."""
    async with trial.fleet(Settings()) as fleet:
        return await recorded(fleet.pods[0], _pause(fleet.pods[0]))


async def _pause(pod: Pod) -> None:
    async def is_late() -> bool:
        os.kill(pod.program.pid, signal.SIGSTOP)
        await asyncio.sleep(PAUSE_SECONDS)
        os.kill(pod.program.pid, signal.SIGCONT)
        return await pod.metric(EVENT_LOOP_LAG_SECONDS) > PAUSE_SECONDS / 4

    await eventually_async(is_late, seconds=60)


async def nearly_exhausted(trial: Trial) -> Recording:
    """Use up most of a budget."""
    budget = Budget(tokens_per_day=STREAMS * 10_000)
    async with trial.fleet(Settings(limits=Limits(budget=budget))) as fleet:
        return await recorded(fleet.pods[0], _spend(trial, fleet.pods[0]))


async def _spend(trial: Trial, pod: Pod) -> None:
    async def nearly() -> bool:
        await ask(trial, pod, tokens=1_000)
        return await pod.metric(BUDGET_USED_RATIO) > 0.85

    await eventually_async(nearly, seconds=60)


SCENARIOS: Final[Mapping[str, Callable[[Trial], Awaitable[Recording]]]] = {
    "well": well,
    "late": late,
    "full": full,
    "killed": killed,
    "without redis": without_redis,
    "redis at times": redis_at_times,
    "without archive": without_archive,
    "without upstream": without_upstream,
    "paused": paused,
    "nearly exhausted": nearly_exhausted,
}


async def record(folder: Path, name: str) -> Recording:
    """Play one scenario, with its files in `folder`."""
    async with open_trial(folder, "short", "protected", 1, PROCESSES) as trial:
        return await SCENARIOS[name](trial)
