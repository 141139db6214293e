"""One HTTP request as ASGI shows it, and what its client is answered."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Quota
from chatfleet_api.web import state
from chatfleet_api.web.body import require_json
from chatfleet_api.web.disconnect import ClientDisconnected, until_disconnect

COMPLETE: Final = "complete"
CLIENT_DISCONNECTED: Final = "client_disconnected"


@dataclass(frozen=True)
class Client:
    """One request, and who sent it."""

    scope: Scope
    receive: Receive
    send: Send

    @property
    def principal(self) -> Principal:
        return state.principal(self.scope)

    @property
    def request_id(self) -> str:
        return state.request_id(self.scope)

    @property
    def query(self) -> QueryParams:
        return QueryParams(self.scope["query_string"])

    def show(self, left: Quota | None) -> None:
        """Let the response have what is left to the caller."""
        state.set_quota(self.scope, left)

    def path_param(self, name: str) -> str:
        return str(self.scope["path_params"][name])

    def header(self, name: bytes) -> str | None:
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    async def body(self) -> bytes:
        """Return the body, which `BodyLimit` has read already; raises `ChatError` unless it is declared as JSON."""
        require_json(self.header(b"content-type"))
        message = await self.receive()
        return bytes(message["body"])

    async def respond(self, body: bytes) -> None:
        """Answer 200 with a JSON body."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def respond_with(self, work: Coroutine[Any, Any, bytes]) -> str:
        """Answer 200 with the JSON that `work` returns, unless the client disconnects first; return how it ended.

        That is `complete` or `client_disconnected`. Raises what `work` raises.
        """
        try:
            body = await until_disconnect(self.receive, work)
        except ClientDisconnected:
            return CLIENT_DISCONNECTED
        await self.respond(body)
        return COMPLETE
