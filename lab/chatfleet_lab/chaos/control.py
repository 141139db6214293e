"""The API without one of its protections: the control run's server, whose argument is a name.

Each name takes out as little as possible, from the real thing: so a control run shows what exactly that is good for.
"""

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Final

from chatfleet_api import __main__ as api
from chatfleet_api.archive.keeper import ArchiveKeeper
from chatfleet_api.archive.marks import Queued
from chatfleet_api.chat import agent_steps, takeover, tool_steps
from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.sending import MessageSender
from chatfleet_api.chat.tool_progress import Progress, progress_of
from chatfleet_api.domain.events import Event, ServerToolEvent
from chatfleet_api.limits import meters
from chatfleet_api.runs.fleet.ownership import Ownership
from chatfleet_api.runs.log import append_script
from chatfleet_api.sessions import redis as sessions
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.usage.open_answers import OpenAnswers


def _replace(module: ModuleType, script: str, what: str, by: str) -> None:
    """Replace a part of a script of a module; the part must be there."""
    text: str = getattr(module, script)
    if what not in text:
        raise LookupError(f"{module.__name__}.{script} no longer has {what!r}")
    setattr(module, script, text.replace(what, by))


def put(owner: type, name: str, by: object) -> None:
    """Put something in the place of a method; there must be one."""
    if name not in vars(owner):
        raise LookupError(f"{owner.__name__} no longer has {name!r}")
    setattr(owner, name, by)


def _put_in(module: ModuleType, name: str, by: object) -> None:
    """Put something in the place of a function that a module uses; there must be one."""
    if name not in vars(module):
        raise LookupError(f"{module.__name__} no longer has {name!r}")
    setattr(module, name, by)


def fencing() -> None:
    """Let whoever was taken over go on writing, and not find out."""

    async def nothing(_: Ownership) -> tuple[()]:
        return ()

    _replace(append_script, "APPEND", "redis.call('HGET', record, 'last_seq:' .. epoch + 1)", "false")
    _replace(sessions, "APPEND", "if newest and tonumber(newest) > tonumber(epoch) then return {'changed'} end\n", "")
    put(Ownership, "fenced", nothing)


def idempotency() -> None:
    """Take a message that comes again for another one."""
    send = Conversations.send

    async def forgetful(self: Conversations, *said: Any, key: str | None) -> Any:  # noqa: ANN401, ARG001  # as it is called
        return await send(self, *said)

    put(Conversations, "send", forgetful)


def turns() -> None:
    """Let every message into its conversation at once."""

    async def never(*_: object) -> bool:
        return False

    async def first(*_: object) -> int:
        return 0

    put(MessageSender, "_alive", never)
    put(RedisSessionStore, "enqueue", first)


def steps() -> None:
    """Let successors find no call of a tool in the log, nor its result."""

    def forgetful(events: Sequence[Event]) -> Progress:
        return progress_of([event for event in events if not isinstance(event, ServerToolEvent)])

    for module in (agent_steps, tool_steps, takeover):
        _put_in(module, "progress_of", forgetful)
    for module in (tool_steps, takeover):
        _put_in(module, "doubtful_calls", lambda _: None)


def leases() -> None:
    """Let slots of streams be taken for an hour, as counters are that nothing corrects."""
    if "LEASE_SECONDS" not in vars(meters):
        raise LookupError(f"{meters.__name__} no longer has LEASE_SECONDS")
    meters.LEASE_SECONDS = 3600  # type: ignore[misc]


def marks() -> None:
    """Let the queue of the archive forget what it hands out, as one does that waits for no acknowledgement."""
    write = ArchiveKeeper._write  # noqa: SLF001

    async def forgetful(
        self: ArchiveKeeper,
        archive: Any,  # noqa: ANN401  # as it is
        term: int,
        found: Queued,
        *,
        wanted: int,
    ) -> None:
        await self._marks.settle(found.at, [(each, "done") for each in found.due])
        await write(self, archive, term, found, wanted=wanted)

    put(ArchiveKeeper, "_write", forgetful)


def records() -> None:
    """Let answers under way be in the memory of their pod alone."""

    def nothing(_: OpenAnswers) -> dict[str, str]:
        return {}

    put(OpenAnswers, "news", nothing)


PROTECTIONS: Final[dict[str, Callable[[], None]]] = {
    take_out.__name__: take_out for take_out in (fencing, idempotency, leases, marks, records, steps, turns)
}


def main() -> int:
    """Serve without the protection that is named."""
    PROTECTIONS[sys.argv.pop(1)]()
    return api.main()


if __name__ == "__main__":
    sys.exit(main())
