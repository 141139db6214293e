"""Runs for tests: a provider that answers from a script, ids in order, and readers that collect."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from unittest.mock import create_autospec

from chatfleet_api.chat.services import ChatPorts, chat_services
from chatfleet_api.chat.tool_steps import ToolServers, ToolSteps, ToolUsers
from chatfleet_api.chat.turn import PLAIN, Seams
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.events import Event, Start, Token, ToolCall, Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.model_names import unknown_model
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.provider import Finish, GeneratorOpening, ItemBatch, Opening, Provider, StreamItem
from chatfleet_api.runs.fleet.single_pod import SinglePodFleet
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.log.memory import MemoryRunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.runs.tail import Batch
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.store import SessionStore
from chatfleet_contract.spec import Conversations, Streaming
from chatfleet_contract.spec.provider_types import Continuation
from harness.pods.live import fixed

TENANT = "default"
CALLER = Principal(TENANT)
USAGE = Usage(input_tokens=3, output_tokens=2)
STOP = Finish("stop", USAGE)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class FakeProvider:
    """A provider that plays `steps`: pieces to yield, seconds or an event to wait for, or an error to raise."""

    def __init__(self, *steps: ItemBatch | float | asyncio.Event | Exception) -> None:
        self.steps = steps
        self.asked: list[ChatRequest] = []
        self.open_streams = 0

    def open(self, request: ChatRequest) -> Opening:
        return GeneratorOpening(self._play(request))

    async def _play(self, request: ChatRequest) -> AsyncGenerator[ItemBatch, None]:
        self.asked.append(request)
        self.open_streams += 1
        try:
            for step in self.steps:
                match step:
                    case Exception():
                        raise step
                    case float() | int():
                        await asyncio.sleep(step)
                    case asyncio.Event():
                        await step.wait()
                    case _:
                        yield step
        finally:
            self.open_streams -= 1


class InTurn:
    """A provider that answers each request with the next of `answers`."""

    def __init__(self, *answers: ItemBatch) -> None:
        self.answers = [*answers]
        self.asked: list[ChatRequest] = []

    def open(self, request: ChatRequest) -> Opening:
        self.asked.append(request)
        return GeneratorOpening(self._play(self.answers.pop(0)))

    async def _play(self, pieces: ItemBatch) -> AsyncGenerator[ItemBatch, None]:
        yield pieces


class OneModel:
    """A catalogue with the model `m`, or other names of the same."""

    def __init__(self, provider: Provider, continuation: Continuation = "none") -> None:
        self._provider = provider
        self._continuation = continuation
        self.names: tuple[str, ...] = ("m",)
        self.ends: str | None = None
        """The day on which its vendor shuts the model down."""
        self.unsupported: ChatError | None = None
        """The error for requests with a part that its upstream does not have."""

    def answers_by(self, provider: Provider) -> None:
        """Let another provider answer from now on."""
        self._provider = provider

    def provider(self, model: str) -> Provider:
        if model not in self.names:
            raise unknown_model(model)
        return self._provider

    def continuation(self, model: str) -> Continuation:
        self.provider(model)
        return self._continuation

    def max_tokens(self, model: str) -> int | None:
        self.provider(model)
        return None

    async def count_tokens(self, request: ChatRequest) -> None:
        self.provider(request.model)

    def require_supported(self, request: ChatRequest) -> None:
        self.provider(request.model)
        if self.unsupported is not None:
            raise self.unsupported

    def shutdown_date(self, model: str) -> str | None:
        self.provider(model)
        return self.ends

    def models(self) -> tuple[str, ...]:
        return self.names


class Chat:
    """The application services of one pod, and what they work with."""

    def __init__(self, ports: ChatPorts) -> None:
        self.ports, self.services = ports, chat_services(ports)
        services = self.services
        self.completions, self.conversations = services.completions, services.conversations
        self.responses, self.joining = services.responses, services.joining
        self.takeover, self.queue = services.takeover, services.queue
        self.catalogue, self.pool, self.log, self.sessions = ports.catalogue, ports.pool, ports.log, ports.sessions
        self.new_id = ports.new_id


def text(*words: str) -> list[StreamItem]:
    """Return what one read of an upstream brought."""
    return [Token(word) for word in words]


def called(name: str, ident: str, arguments: str = "{}", index: int = 0) -> list[StreamItem]:
    """Return a call of a tool as upstreams send it, in pieces."""
    return [ToolCall(index, ident, name), ToolCall(index, arguments=arguments)]


def numbered(first: int, last: int) -> Batch:
    """Return a batch whose events carry their own numbers."""
    return Batch(first, tuple(Token(f"{seq}") for seq in range(first, last + 1)))


def start(run: str = "r") -> Start:
    return Start(run, "m", 0)


def ids() -> Callable[[], str]:
    """Return a maker of UUIDs that count up."""
    numbers = count(1)
    return lambda: f"00000000-0000-7000-8000-{next(numbers):012d}"


def loop_clock() -> float:
    """Return the seconds of the running event loop, virtual under looptime."""
    return asyncio.get_running_loop().time()


def loop_now() -> datetime:
    """Return a date that goes with `loop_clock`."""
    return EPOCH + timedelta(seconds=loop_clock())


async def collect(batches: AsyncIterable[Batch]) -> list[tuple[int, Event]]:
    """Return all events with their numbers."""
    return [pair async for batch in batches for pair in enumerate(batch.events, batch.first)]


def streaming(**changed: float) -> Live[Streaming]:
    """Return limits of streams that differ from the defaults, also beyond what a ChatDeployment may have."""
    return fixed(Streaming().model_copy(update=changed))


def conversations(**changed: float) -> Live[Conversations]:
    """Return how conversations are kept, where it differs from the defaults."""
    return fixed(Conversations().model_copy(update=changed))


def memory_log(ttl_seconds: float = 60) -> MemoryRunLog:
    return MemoryRunLog(streaming(log_ttl_seconds=ttl_seconds), clock=loop_clock)


def memory_sessions(ttl_seconds: float = 3600) -> MemorySessionStore:
    return MemorySessionStore(conversations(ttl_seconds=ttl_seconds), clock=loop_clock)


def without_servers(catalogue: ToolUsers) -> ToolSteps:
    """Return the steps of models where no tool server is."""
    return ToolSteps(fixed(catalogue), create_autospec(ToolServers, instance=True))


def make_pool(log: RunLog | None = None, *, capacity: int = 10, run_seconds: float = 600) -> RunPool:
    limits = streaming(max_streams_per_pod=capacity, max_stream_seconds=run_seconds)
    return RunPool(log or memory_log(), SinglePodFleet(), limits)


def make_chat(
    provider: Provider,
    *,
    log: RunLog | None = None,
    sessions: SessionStore | None = None,
    pool: RunPool | None = None,
    new_id: Callable[[], str] | None = None,
    seams: Seams = PLAIN,
) -> Chat:
    """Return a chat service on memory, with one model."""
    log, sessions, new_id = log or memory_log(), sessions or memory_sessions(), new_id or ids()
    return Chat(
        ChatPorts(
            catalogue=fixed(OneModel(provider)),
            pool=pool or make_pool(log),
            log=log,
            fleet=SinglePodFleet(),
            sessions=sessions,
            clock=loop_clock,
            now=loop_now,
            new_id=new_id,
            meter=Meter("tests"),
            on_busy=fixed("reject"),
            seams=seams,
        )
    )
