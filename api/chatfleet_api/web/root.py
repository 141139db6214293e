"""The root: links to the API, its documentation and its health."""

from collections.abc import Iterable

from fastapi import APIRouter

from chatfleet_contract.names import PATH_HEALTH


def root_routes(version: str, links: Iterable[tuple[str, str]]) -> APIRouter:
    """Return the route of `/`, with `links` to the dialects."""
    router = APIRouter(tags=["Health"])

    @router.get("/")
    async def root() -> dict[str, str]:
        """Return links to the API, its documentation and its health."""
        return {
            "service": "chatfleet",
            "version": version,
            "documentation": "/docs",
            **dict(links),
            "health": PATH_HEALTH,
        }

    return router
