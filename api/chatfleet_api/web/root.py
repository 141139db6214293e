"""The root: links to the API, its documentation and its health."""

from fastapi import APIRouter


def root_routes(version: str) -> APIRouter:
    """Return the route of `/`."""
    router = APIRouter(tags=["Health"])

    @router.get("/")
    async def root() -> dict[str, str]:
        """Return links to the API, its documentation and its health."""
        return {
            "service": "chatfleet",
            "version": version,
            "documentation": "/docs",
            "openai_base_url": "/v1",
            "conversations": "/api/v1/conversations",
            "health": "/health",
        }

    return router
