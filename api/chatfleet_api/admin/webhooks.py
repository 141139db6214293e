"""`/admin/webhooks`: the queue of each webhook, and its dead letters: list, replay, delete."""

import logging
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from chatfleet_api.admin.answers import answer
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.caller import Caller
from chatfleet_api.webhooks.dead_letters import DeadLetter, DeadLetters, QueueState

logger = logging.getLogger(__name__)


class WebhookList(msgspec.Struct, frozen=True):
    """The webhooks of the ChatDeployment."""

    data: list[QueueState]


class DeadLetterList(msgspec.Struct, frozen=True):
    """Dead letters of a webhook, those that were given up last first."""

    data: list[DeadLetter]


class Replayed(msgspec.Struct, frozen=True):
    """What a replay has queued."""

    webhook: str
    replayed: int


class Deleted(msgspec.Struct, frozen=True):
    """What was deleted."""

    webhook: str
    deleted: int


def webhook_routes(admin: AdminServices) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    def known(webhook: str) -> DeadLetters:
        if admin.dead_letters is None or not admin.dead_letters.knows(webhook):
            raise ChatError(Code.NOT_FOUND, "The ChatDeployment has no such webhook.")
        return admin.dead_letters

    @router.get("/admin/webhooks")
    async def webhooks() -> Response:
        """Return the state of each queue."""
        return answer(WebhookList([] if admin.dead_letters is None else await admin.dead_letters.states()))

    @router.get("/admin/webhooks/{webhook}/dead-letters")
    async def letters(webhook: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
        """Return dead letters, without content."""
        return answer(DeadLetterList(await known(webhook).letters(webhook, limit=limit)))

    @router.post("/admin/webhooks/{webhook}/dead-letters/replay")
    async def replay(webhook: str, caller: Caller) -> Response:
        """Send all dead letters again, with their ids."""
        replayed = await known(webhook).replay(webhook)
        logger.warning("%s has replayed %d dead letters of webhook %s", caller.subject, replayed, webhook)
        return answer(Replayed(webhook, replayed), 202)

    @router.post("/admin/webhooks/{webhook}/dead-letters/{letter}/replay")
    async def replay_one(webhook: str, letter: str) -> Response:
        """Send one again."""
        replayed = await known(webhook).replay(webhook, letter)
        return answer(Replayed(webhook, _found(replayed)), 202)

    @router.delete("/admin/webhooks/{webhook}/dead-letters")
    async def delete(webhook: str, caller: Caller) -> Response:
        """Delete all dead letters."""
        deleted = await known(webhook).delete(webhook)
        logger.warning("%s has deleted %d dead letters of webhook %s", caller.subject, deleted, webhook)
        return answer(Deleted(webhook, deleted))

    @router.delete("/admin/webhooks/{webhook}/dead-letters/{letter}")
    async def delete_one(webhook: str, letter: str) -> Response:
        """Delete one."""
        deleted = await known(webhook).delete(webhook, letter)
        return answer(Deleted(webhook, _found(deleted)))

    return router


def _found(changed: int) -> int:
    if not changed:
        raise ChatError(Code.NOT_FOUND, "The webhook has no such dead letter, or its queue is full.")
    return changed
