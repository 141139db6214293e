"""`/admin/configuration` and `/admin/log-level`: of this pod; `/admin/keys`: of all pods."""

import logging
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Response

from chatfleet_api.admin.answers import answer
from chatfleet_api.admin.masking import masked
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.identity.api_keys import API_KEY
from chatfleet_api.pod import logs
from chatfleet_api.web.caller import Caller
from chatfleet_contract.spec import LogLevel

logger = logging.getLogger(__name__)


class ConfigurationBody(msgspec.Struct, frozen=True):
    """What a pod serves."""

    pod: str
    digest: str
    error: str | None
    """Why a newer configuration is not served."""
    configuration: Any


class LogLevelBody(msgspec.Struct, frozen=True):
    """From which level on this pod logs."""

    pod: str
    level: str
    configured: str


class KeyBody(msgspec.Struct, frozen=True):
    """An API key, without the key."""

    secret: str | None
    key: str
    tenant: str
    user: str | None
    last_used: datetime | None
    """Within a minute; null: not within the last 400 days, or since the key was changed."""


class KeyList(msgspec.Struct, frozen=True):
    """The API keys that are accepted."""

    pod: str
    data: list[KeyBody]
    whole: bool
    """False: Redis is unreachable, and the times are those of this pod alone, since it has started."""


def configuration_routes(admin: AdminServices) -> APIRouter:
    """Return the routes."""
    router = APIRouter()
    serving = admin.configuration

    def log_level() -> Response:
        configured = serving.current.observability.log_level
        return answer(LogLevelBody(admin.pod, logs.level().value, configured.value))

    @router.get("/admin/configuration")
    async def configuration() -> Response:
        """Return the configuration that this pod serves. What may be a secret is masked."""
        shown = masked(serving.current.document())
        return answer(ConfigurationBody(admin.pod, serving.digest, serving.error, shown))

    @router.get("/admin/log-level")
    async def get_log_level() -> Response:
        """Return from which level on this pod logs."""
        return log_level()

    @router.put("/admin/log-level")
    async def put_log_level(level: Annotated[LogLevel, Body(embed=True)], caller: Caller) -> Response:
        """Log from another level on, in this pod, until its configuration changes or it ends."""
        logs.set_level(level)
        logger.warning("%s has set the log level to %s", caller.subject, level.value)
        return log_level()

    @router.get("/admin/keys")
    async def keys() -> Response:
        """Return the API keys that are accepted, and when each was last used on any pod."""
        uses = await admin.key_uses.last()
        found = [
            KeyBody(each.secret, (each.subject or "").removeprefix(API_KEY), each.tenant, each.user, used)
            for each, used in uses.keys
        ]
        return answer(KeyList(admin.pod, sorted(found, key=lambda each: (each.secret or "", each.key)), uses.whole))

    return router
