"""Users are present while a request of theirs is in progress, and no one is where that does not matter."""

import asyncio
from collections import Counter

import pytest
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.domain import presence
from chatfleet_api.domain.dispatch import Dispatcher, EventKind
from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.principal import Principal
from chatfleet_api.pod.webhooks import emit_inactive
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.store import ArchiveUnavailableError, Conversation
from chatfleet_api.web.middleware.visits import Visits
from chatfleet_api.web.state import PRINCIPAL
from harness.pods.runs import conversations, loop_clock, loop_now

pytestmark = pytest.mark.looptime


class Present:
    """Counts the open requests of users."""

    def __init__(self, *, wanted: bool = True) -> None:
        self._wanted = wanted
        self.open: Counter[tuple[str, str]] = Counter()
        self.entered: list[tuple[str, str]] = []

    def wanted(self) -> bool:
        return self._wanted

    def enter(self, tenant: str, user: str) -> None:
        self.entered.append((tenant, user))
        self.open[tenant, user] += 1

    def leave(self, tenant: str, user: str) -> None:
        self.open[tenant, user] -= 1


async def served(present: Present, caller: Principal, named: str | None = None) -> list[tuple[str, str]]:
    """Serve a request whose service learns that it is one of `named`; return who was present meanwhile."""
    during: list[tuple[str, str]] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        presence.note(caller.tenant, named)
        during.extend(+present.open)
        late.append(asyncio.ensure_future(_note_later()))

    async def _note_later() -> None:
        await asyncio.sleep(1)
        presence.note(caller.tenant, "late")

    async def unused(*_: object) -> None:
        raise AssertionError

    late: list[asyncio.Future[None]] = []
    scope = {"type": "http", "state": {PRINCIPAL: caller}}
    await Visits(app, presence=present)(scope, unused, unused)  # type: ignore[arg-type]
    await asyncio.gather(*late)
    assert presence.visit() is None
    assert not +present.open
    return during


async def test_the_user_of_a_credential_is_present_until_the_request_has_ended() -> None:
    present = Present()
    assert await served(present, Principal("shop", "token", "ann")) == [("shop", "ann")]
    assert present.entered == [("shop", "ann")], "a run that lasts longer than its request noted a user"


async def test_a_request_of_a_service_is_one_of_whom_it_names() -> None:
    assert await served(Present(), Principal("shop", "key:web", any_user=True), "bob") == [("shop", "bob")]
    assert await served(Present(), Principal("shop", "key:web", any_user=True)) == []


class ExpiredSessions(MemorySessionStore):
    """Has only conversations that have expired, while the archive is down."""

    @override
    async def get(self, tenant: str, conversation: str) -> Conversation:
        raise ArchiveUnavailableError(Code.STORAGE_UNAVAILABLE)


async def test_a_request_of_a_service_goes_on_when_whom_it_names_cannot_be_known() -> None:
    present, sessions = Present(), ExpiredSessions(conversations(), clock=loop_clock)
    with presence.visiting(present):
        await require_visible(sessions, Principal("shop", "key:web", any_user=True), "c")
        with pytest.raises(ArchiveUnavailableError):
            await require_visible(sessions, Principal("shop", "token", "ann"), "c")
    assert present.entered == []


async def test_no_one_is_noted_where_it_does_not_matter() -> None:
    present = Present(wanted=False)
    assert await served(present, Principal("shop", "token", "ann"), "bob") == []
    assert present.entered == []


async def test_an_inactive_user_is_made_known_to_those_who_listen() -> None:
    dispatcher = Dispatcher("pod", now=loop_now, dropped=lambda _: None)
    data = {"tenant": "shop", "user_id": "ann", "conversation_id": "c", "run": "r", "model": "m", "status": "complete"}
    with dispatcher.listening("tap", EventKind) as listener:
        emit_inactive(dispatcher, data)
        [notice] = listener.waiting(10)
    assert (notice.event, notice.tenant) == (EventKind.USER_INACTIVE, "shop")
    assert notice.facts == {"run": "r", "model": "m", "conversation": "c", "user": "ann"}
