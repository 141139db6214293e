"""`/api/v1/users/me/webhook`: the webhook of the caller."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Request, Response

from chatfleet_api.chat.user_webhooks import UserWebhooks
from chatfleet_api.web.body import decode_body, require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.documentation import fails, returns, takes
from chatfleet_contract.spec.webhooks import LEAST_SECONDS, MOST_SECONDS

WEBHOOK: Final = "/api/v1/users/me/webhook"


class NewWebhookBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the ends of the user's answers are sent."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    inactive_after_seconds: Annotated[int, msgspec.Meta(ge=LEAST_SECONDS, le=MOST_SECONDS)] | None = None
    """Null: the end of each answer is sent. Else `user_inactive`, if the user has left, and for so long."""


class WebhookBody(msgspec.Struct, frozen=True):
    """The webhook of a user."""

    url: str
    created_at: str
    inactive_after_seconds: int | None


class CreatedWebhookBody(msgspec.Struct, frozen=True):
    """The same with the secret that signs its requests, which is shown once."""

    url: str
    created_at: str
    inactive_after_seconds: int | None
    secret: str


_NEW: Final = msgspec.json.Decoder(NewWebhookBody)


def webhook_routes(service: UserWebhooks) -> APIRouter:
    router = APIRouter(tags=["Users"], responses=fails(bodies.ErrorBody))

    @router.put(WEBHOOK, openapi_extra=takes(NewWebhookBody) | {"responses": returns(CreatedWebhookBody)})
    async def put_webhook(request: Request, caller: Caller) -> Response:
        """Store the webhook of the user, in the place of an older one, with a new secret."""
        require_json(request.headers.get("content-type"))
        new = decode_body(await request.body(), _NEW)
        made = await service.put(caller, new.url, inactive_after=new.inactive_after_seconds)
        return _json(CreatedWebhookBody(made.url, made.created_at, made.inactive_after_seconds, made.secret))

    @router.get(WEBHOOK, openapi_extra={"responses": returns(WebhookBody)})
    async def get_webhook(caller: Caller) -> Response:
        """Return the webhook of the user, without its secret."""
        found = await service.get(caller)
        return _json(WebhookBody(found.url, found.created_at, found.inactive_after_seconds))

    @router.delete(WEBHOOK, status_code=204)
    async def delete_webhook(caller: Caller) -> Response:
        """Delete the webhook of the user: events that wait are not sent."""
        await service.delete(caller)
        return Response(status_code=204)

    return router


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), headers={"cache-control": "no-store"}, media_type="application/json")
