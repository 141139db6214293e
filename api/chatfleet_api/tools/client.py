"""A client of the SDK for one MCP server. Imports the SDK: only `session` loads this module, in a thread."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation, ToolListChangedNotification

from chatfleet_api.http.httpx_client import Exchange, httpx_client
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.tools.headers import read_headers
from chatfleet_api.tools.session import SESSION_LOST
from chatfleet_contract.runtime import RuntimeToolServer

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams
    from mcp.client.session import IncomingMessage

CONNECTION_FAILED: Final = -32000
"""Code of the JSON-RPC error that stands for a request that failed."""
MODE: Final = "auto"
"""The newest protocol of a server, with the handshake of older ones where it has no other."""

logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it logs what servers sent; what failed is in our own lines


def new_client(
    server: RuntimeToolServer, connections: ConnectionPool, version: str, on_change: Callable[[], None]
) -> Client:
    """Return a client that is to be opened."""

    async def note(message: "IncomingMessage") -> None:
        if isinstance(message, ToolListChangedNotification):
            on_change()

    info = Implementation(name="chatfleet", version=version)
    return Client(_streams(server, connections), client_info=info, message_handler=note, cache=None, mode=MODE)


@asynccontextmanager
async def _streams(server: RuntimeToolServer, connections: ConnectionPool) -> "AsyncGenerator[TransportStreams, None]":
    exchange = Exchange(partial(read_headers, server.headers_folder), _failure, _instead)
    async with httpx_client(connections, exchange) as http, streamable_http_client(server.url, http_client=http) as own:
        yield own


def _failure(reason: str) -> bytes:
    return _error(CONNECTION_FAILED, reason)


def _instead(headers: Mapping[str, str], status: int) -> bytes | None:
    """Return the error for a session that the server has forgotten: servers word it in many ways."""
    lost = status == HTTPStatus.NOT_FOUND and "mcp-session-id" in headers
    return _error(SESSION_LOST, "The session is lost.") if lost else None


def _error(code: int, message: str) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}})
