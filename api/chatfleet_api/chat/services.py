"""The application services, put together from the stores and clocks of a process."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from chatfleet_api.chat.approvals import Approvals
from chatfleet_api.chat.attaching import Attaching
from chatfleet_api.chat.completions import Completions
from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.follow_up import FollowUps
from chatfleet_api.chat.joining import Joining
from chatfleet_api.chat.models import Models
from chatfleet_api.chat.queueing import Queue
from chatfleet_api.chat.responses import Responses
from chatfleet_api.chat.room import UNLIMITED, Room
from chatfleet_api.chat.sending import MessageSender, WindowMeter
from chatfleet_api.chat.summaries import Summaries
from chatfleet_api.chat.takeover import Takeover, TakeoverMeter
from chatfleet_api.chat.titles import NO_TITLES, Titles
from chatfleet_api.chat.turn import PLAIN, Seams
from chatfleet_api.chat.window import Window
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.trace import NO_TRACER, Tracer
from chatfleet_api.runs.fleet.interface import Fleet
from chatfleet_api.runs.log.interface import RunLog
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.sessions.store import SessionStore
from chatfleet_api.usage.ledger import Ledger
from chatfleet_api.usage.memory_ledger import MemoryLedger
from chatfleet_contract.spec import OnBusy


class ChatMeter(TakeoverMeter, WindowMeter, Protocol):
    """Counts what happens to runs, and to what they send."""


@dataclass(frozen=True, kw_only=True)
class ChatPorts:
    """What the application services work with."""

    catalogue: Live[Models]
    """The current one."""
    pool: RunPool
    log: RunLog
    fleet: Fleet
    sessions: SessionStore
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    new_id: Callable[[], str]
    """Makes UUIDv7 text."""
    meter: ChatMeter
    on_busy: Live[OnBusy]
    """The configured policy for a message that comes while an answer is being written."""
    window: Live[Window] = field(default_factory=lambda: Live(Window))
    """How much of a conversation its model gets."""
    seams: Seams = PLAIN
    """What features add to each run."""
    room: Live[Room] = UNLIMITED
    """What a conversation can have."""
    attaching: Attaching = Attaching()  # noqa: RUF009  # immutable
    """Checks what is attached to messages; unless it is given, no address is requested."""
    title_model: Live[str | None] = NO_TITLES
    """The model that makes titles; None: none are made."""
    tracer: Live[Tracer | None] = NO_TRACER
    """Of runs that are taken over; others are in the trace of their request."""
    ledger: Ledger = field(default_factory=MemoryLedger)
    """What the accounting of `seams` adds to."""


@dataclass(frozen=True, kw_only=True)
class ChatServices:
    """The application services of one process."""

    completions: Completions
    conversations: Conversations
    approvals: Approvals
    responses: Responses
    joining: Joining
    takeover: Takeover
    queue: Queue


def chat_services(ports: ChatPorts) -> ChatServices:
    pool, log, sessions, new_id = ports.pool, ports.log, ports.sessions, ports.new_id
    catalogue, fleet, clock, now = ports.catalogue, ports.fleet, ports.clock, ports.now
    completions = Completions(
        catalogue=catalogue, pool=pool, fleet=fleet, clock=clock, now=now, new_id=new_id, seams=ports.seams
    )
    follow_ups = FollowUps(
        catalogue=catalogue,
        pool=pool,
        sessions=sessions,
        clock=clock,
        now=now,
        new_id=new_id,
        seams=ports.seams,
    )
    summaries = Summaries(window=ports.window, follow_ups=follow_ups)
    titles = Titles(model=ports.title_model, follow_ups=follow_ups)
    of_messages = replace(ports.seams, follow_ups=(titles, summaries))
    takeover = Takeover(catalogue, log, sessions, clock, now, ports.meter, of_messages, ports.tracer)
    queue = Queue(sessions, new_id)
    sender = MessageSender(
        catalogue=catalogue,
        pool=pool,
        log=log,
        fleet=fleet,
        sessions=sessions,
        takeover=takeover,
        clock=clock,
        now=now,
        new_id=new_id,
        window=ports.window,
        room=ports.room,
        meter=ports.meter,
        seams=of_messages,
    )
    conversations = Conversations(
        sessions=sessions,
        pool=pool,
        sender=sender,
        queue=queue,
        on_busy=ports.on_busy,
        attaching=ports.attaching,
        now=now,
        new_id=new_id,
    )
    return ChatServices(
        completions=completions,
        conversations=conversations,
        approvals=Approvals(sender=sender, sessions=sessions),
        responses=Responses(completions=completions, sender=sender, sessions=sessions, pool=pool),
        joining=Joining(sessions=sessions, log=log, pool=pool),
        takeover=takeover,
        queue=queue,
    )
