"""Hot routes: pure ASGI, because FastAPI takes longer to call an endpoint than the endpoint takes.

Each brings the description that FastAPI would write for the OpenAPI document.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal, TypeAlias

from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from chatfleet_api.web.client import Client

Operation: TypeAlias = dict[str, Any]
"""An operation object of an OpenAPI document."""


class HotEndpoint(ABC):
    """The ASGI application of a hot route."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answer(Client(scope, receive, send))

    @abstractmethod
    async def answer(self, client: Client) -> None:
        """Answer one request; raises `ChatError` while an HTTP status can carry the error."""


class HotRoute(Route):
    """A route of the router, and of `HotRoutes` before it."""

    def __init__(
        self, method: Literal["GET", "POST"], path: str, *, endpoint: HotEndpoint, operation: Operation
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.method = method.lower()
        self.operation = operation

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, known = super().matches(scope)
        return match, {**known, "route": self}  # for the access log, as FastAPI's own routes do
