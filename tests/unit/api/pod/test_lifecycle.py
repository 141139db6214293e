"""The end of a pod, phase by phase, in virtual time."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from typing_extensions import override

from chatfleet_api.pod.lifecycle import (
    FOLLOW_SECONDS,
    GRACE_SECONDS,
    LAST_CALL_SECONDS,
    SIGNAL_SECONDS,
    Lifecycle,
    Phase,
    Termination,
)
from chatfleet_api.runs.fence import Fence
from chatfleet_api.runs.log.memory import MemoryRunLog
from chatfleet_api.runs.run import Run
from chatfleet_contract.spec import Streaming
from harness.clock import ManualClock
from harness.pods.live import fixed
from harness.pods.runs import TENANT, loop_clock, make_pool, memory_log, start

pytestmark = pytest.mark.looptime

MAX_STREAM_SECONDS = 60


class FakeServer:
    """Closes in the turn of the loop after it was asked to."""

    def __init__(self, *, connected: bool = True) -> None:
        self.connected = connected
        self.closed: Callable[[], None] = lambda: None
        self.closing: list[tuple[float, float]] = []
        """When it was asked to close, and within how many seconds."""

    def close_within(self, seconds: float) -> None:
        if not self.closing:
            asyncio.get_running_loop().call_soon(self.closed)
        self.closing.append((loop_clock(), seconds))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until everything is closed."""


class Closing(MemoryRunLog):
    """A log that notes when its readers are closed."""

    closed_at: float | None = None

    @override
    def close_readers(self) -> None:
        self.closed_at = loop_clock()


class Ending:
    """A pod with one run that ends in `run_seconds`."""

    def __init__(self, *, connected: bool = True, drain_seconds: int = 10, run_seconds: float = 1000) -> None:
        self.lifecycle = Lifecycle(loop_clock)
        self.server = FakeServer(connected=connected)
        streaming = fixed(Streaming(drain_seconds=drain_seconds, max_stream_seconds=MAX_STREAM_SECONDS))
        self.log = Closing(streaming, clock=loop_clock)
        self.pool = make_pool(memory_log())
        self.termination = Termination(self.lifecycle, pool=self.pool, log=self.log, streaming=streaming)
        self.server.closed = self.termination.closed
        self.termination.listening()
        self._run_seconds = run_seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        async def produce(run: Run) -> None:
            run.publish((start(),))
            async with run.stoppable():
                await asyncio.sleep(self._run_seconds)

        with self.pool.admit() as begin:
            begin(TENANT, "r", produce, Fence())
        yield


async def test_sigterm_is_followed_by_a_last_call_then_the_pod_drains_and_hands_over_at_the_deadline() -> None:
    pod, phases = Ending(), []
    with pod.running():
        pod.termination.on_sigterm(pod.server)
        for seconds in (1, LAST_CALL_SECONDS, MAX_STREAM_SECONDS):
            phases.append(pod.lifecycle.phase)
            await asyncio.sleep(seconds)
        phases.append(pod.lifecycle.phase)
    assert phases == [Phase.LAST_CALL, Phase.LAST_CALL, Phase.DRAINING, Phase.FOLLOWERS_ONLY]
    assert pod.server.closing == [(LAST_CALL_SECONDS, MAX_STREAM_SECONDS + GRACE_SECONDS)]
    await asyncio.sleep(FOLLOW_SECONDS)
    assert pod.log.closed_at == LAST_CALL_SECONDS + MAX_STREAM_SECONDS + FOLLOW_SECONDS


@pytest.mark.parametrize(("connected", "drain_seconds"), [(False, 10), (True, 0)])
async def test_a_pod_without_connections_or_time_needs_no_last_call(*, connected: bool, drain_seconds: int) -> None:
    pod = Ending(connected=connected, drain_seconds=drain_seconds)
    pod.termination.on_sigterm(pod.server)
    assert [at for at, _ in pod.server.closing] == [0]


async def test_a_pod_is_through_as_soon_as_its_last_run_has_ended() -> None:
    pod = Ending(run_seconds=5)
    with pod.running():
        pod.termination.on_sigint(pod.server)
        await asyncio.sleep(4)
        assert (pod.lifecycle.phase, pod.pool.admission.draining) == (Phase.DRAINING, True)
        await asyncio.sleep(2)
    assert pod.lifecycle.phase is Phase.FOLLOWERS_ONLY


async def test_a_second_sigint_moves_the_deadline_to_now() -> None:
    pod = Ending()
    with pod.running():
        pod.termination.on_sigint(pod.server)
        await asyncio.sleep(1)
        assert pod.pool.admission.active == 1
        pod.termination.on_sigint(pod.server)
        await asyncio.sleep(1)
    assert (pod.pool.admission.active, pod.lifecycle.phase) == (0, Phase.FOLLOWERS_ONLY)
    assert [seconds for _, seconds in pod.server.closing] == [MAX_STREAM_SECONDS + GRACE_SECONDS, GRACE_SECONDS]
    await asyncio.sleep(FOLLOW_SECONDS)
    assert pod.log.closed_at == 1 + FOLLOW_SECONDS


async def test_a_second_sigint_also_moves_the_deadline_of_runs_without_readers() -> None:
    pod = Ending(connected=False)
    with pod.running():
        pod.termination.on_sigint(pod.server)
        await asyncio.sleep(1)  # the sockets are closed
        serving = asyncio.ensure_future(pod.termination.serve(pod.server, []))
        await asyncio.sleep(1)
        assert not serving.done()
        pod.termination.on_sigint(pod.server)
        await serving
    assert (pod.pool.admission.active, pod.lifecycle.phase) == (0, Phase.GONE)


def test_the_hook_announces_the_end_and_a_pod_without_a_signal_serves_on() -> None:
    lifecycle = Lifecycle(clock := ManualClock())
    lifecycle.enter(Phase.SERVING)
    lifecycle.remove_endpoint(10)
    assert (lifecycle.phase, lifecycle.terminating, lifecycle.not_ready()) == (Phase.ENDPOINT_REMOVAL, True, None)
    clock.now += 10 + SIGNAL_SECONDS
    assert (lifecycle.phase, lifecycle.terminating) == (Phase.SERVING, False)


def test_a_phase_that_has_passed_does_not_come_back() -> None:
    lifecycle = Lifecycle(ManualClock())
    assert lifecycle.not_started()
    lifecycle.enter(Phase.DRAINING)
    lifecycle.enter(Phase.LAST_CALL)
    assert lifecycle.phase is Phase.DRAINING
    assert lifecycle.not_started() is None
