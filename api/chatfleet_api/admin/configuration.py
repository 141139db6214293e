"""`/admin/configuration`, `/admin/log-level`, `/admin/keys`: of this pod."""

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
    """In this pod, since it has started or the key was changed."""


class KeyList(msgspec.Struct, frozen=True):
    """The API keys that are accepted."""

    pod: str
    data: list[KeyBody]


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
        """Return the API keys that are accepted, and when this pod has last seen each."""
        found = [
            KeyBody(
                each.secret,
                (each.subject or "").removeprefix(API_KEY),
                each.tenant,
                each.user,
                each.grant.used if each.grant else None,
            )
            for each in admin.api_keys()
        ]
        return answer(KeyList(admin.pod, sorted(found, key=lambda each: (each.secret or "", each.key))))

    return router
