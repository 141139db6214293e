"""`/admin/sessions`: conversations of a tenant, without content."""

from datetime import timedelta
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Query, Response

from chatfleet_api.admin.answers import answer
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.sessions.listing import Wanted
from chatfleet_api.sessions.store import Conversation
from chatfleet_api.usage.report import UsageSums, sums_of
from chatfleet_api.web.dialects.native.routes import known_id
from chatfleet_api.web.dialects.sessions.routes import session_status

MOST_DELETED: Final = 100_000
"""Sessions that one request deletes."""
LEAST_AGE: Final = timedelta(minutes=1)

Tenant: TypeAlias = Annotated[str, Query(min_length=1, max_length=128)]


class Session(msgspec.Struct, frozen=True):
    """A conversation, without title, metadata and messages."""

    id: str
    tenant: str
    user_id: str | None
    created_at: str
    updated_at: str


class SessionDetails(Session, frozen=True):
    """The same with what it takes to read its messages.

    `active`: an answer is being written. `completed`: the last answer is whole. `paused`: it is not, or there is none.
    """

    status: Literal["active", "paused", "completed"]
    messages: int
    resource_usage: UsageSums


class SessionList(msgspec.Struct, frozen=True):
    """Sessions, newest change first."""

    data: list[Session]
    next_cursor: str | None


class Cleanup(msgspec.Struct, frozen=True):
    """What a cleanup has deleted."""

    tenant: str
    before: str
    deleted: int
    more: bool
    """Whether sessions may be left because of the limit."""


def session_routes(admin: AdminServices) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    @router.get("/admin/sessions")
    async def sessions(
        tenant: Tenant,
        user_id: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(max_length=128)] = None,
    ) -> Response:
        """Return the sessions of a tenant, or of one of its users."""
        page = await admin.sessions.list(tenant, Wanted(user_id=user_id), limit=limit, cursor=cursor)
        return answer(SessionList([Session(*_fields(tenant, each)) for each in page.items], page.next))

    @router.get("/admin/sessions/{session_id}")
    async def session(session_id: str, tenant: Tenant) -> Response:
        """Return a session with its status, its number of messages and what it has used."""
        known = await admin.sessions.get(tenant, known_id(session_id))
        messages = await admin.sessions.messages(tenant, known.id)
        used = sums_of(await admin.usage.ledger.conversation(tenant, known.id))
        return answer(SessionDetails(*_fields(tenant, known), session_status(messages), len(messages), used))

    @router.delete("/admin/sessions")
    async def cleanup(
        tenant: Tenant,
        older_than: Annotated[timedelta, Query(ge=LEAST_AGE)],
        limit: Annotated[int, Query(ge=1, le=MOST_DELETED)] = 10_000,
    ) -> Response:
        """Delete the sessions of a tenant that were last changed so long ago (`P30D`, or seconds), the oldest first."""
        before = admin.now() - older_than
        deleted = await admin.sessions.delete_older(tenant, before, limit=limit)
        return answer(Cleanup(tenant, before.isoformat(timespec="milliseconds"), deleted, deleted == limit))

    return router


def _fields(tenant: str, known: Conversation) -> tuple[str, str, str | None, str, str]:
    return known.id, tenant, known.user_id, known.created_at, known.updated_at
