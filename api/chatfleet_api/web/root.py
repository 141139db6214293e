"""The root: what this is, and where to look."""

from fastapi import APIRouter


def root_routes(version: str) -> APIRouter:
    """Return the route of `/`."""
    router = APIRouter(tags=["Health"])

    @router.get("/")
    async def root() -> dict[str, str]:
        """Tell what this is, and where to look."""
        return {
            "service": "chatfleet",
            "version": version,
            "documentation": "/docs",
            "openai_base_url": "/v1",
            "conversations": "/api/v1/conversations",
            "health": "/health",
        }

    return router
