"""`/admin/cache`: what the response cache has, and clearing it."""

from typing import Annotated, TypeAlias

import msgspec
from fastapi import APIRouter, Query, Response

from chatfleet_api.admin.answers import answer
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.providers.response_cache.store import CacheState

Name: TypeAlias = Annotated[str | None, Query(min_length=1, max_length=128)]

_EMPTY = CacheState(0, 0, 0, 0)


class CacheStats(msgspec.Struct, frozen=True):
    """The response cache of all pods."""

    enabled: bool
    ttl_seconds: int
    max_bytes: int
    entries: int
    bytes: int
    hits: int
    """Since nothing was counted for 30 days, and so below."""
    misses: int


class Cleared(msgspec.Struct, frozen=True):
    """What was removed."""

    tenant: str | None
    """null: of all tenants."""
    model: str | None
    """null: of all models."""
    deleted: int


def cache_routes(admin: AdminServices) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    @router.get("/admin/cache")
    async def stats() -> Response:
        """Return how much there is, and how often it was of use."""
        settings = admin.configuration.current.cache
        state = _EMPTY if admin.cache is None else await admin.cache.state(ttl_seconds=settings.ttl_seconds)
        enabled = settings.enabled and admin.cache is not None
        return answer(CacheStats(enabled, settings.ttl_seconds, settings.max_bytes, *state))

    @router.delete("/admin/cache")
    async def clear(tenant: Name = None, model: Name = None) -> Response:
        """Remove all answers, or those of a tenant, or to a model."""
        deleted = 0 if admin.cache is None else await admin.cache.clear(tenant, model)
        return answer(Cleared(tenant, model, deleted))

    return router
