"""One MCP server: the tools that it lists, and calls of them."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import ServerToolCall, ServerToolResult
from chatfleet_api.domain.tools import ServerTool, ToolOutcome, name_for_models
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.tools.arguments import wrong_arguments
from chatfleet_api.tools.content import bounded, text_of
from chatfleet_api.tools.session import SESSION_LOST, McpSession, reason_of
from chatfleet_contract.runtime import RuntimeToolServer

if TYPE_CHECKING:
    from mcp.client.client import Client
    from mcp_types import CallToolResult, Tool

LIST_SECONDS: Final = 15.0
REFRESH_SECONDS: Final = 60.0
"""Age at which a list of tools is requested again."""
MAX_PAGES: Final = 20
MAX_TOOLS: Final = 128
"""Of one server: vendors take no more."""

logger = logging.getLogger(__name__)


class Called(NamedTuple):
    """What a model gets of a call, and what became of it."""

    result: ServerToolResult
    outcome: ToolOutcome


class McpServer:
    """A tool server of the configuration."""

    def __init__(
        self, settings: RuntimeToolServer, connections: ConnectionPool, clock: Callable[[], float], version: str
    ) -> None:
        self.settings = settings
        self._connections = connections
        self._clock = clock
        self._version = version
        self._session = McpSession(self._client, settings.name)
        self._tools: dict[str, ServerTool] = {}
        self._listed_at: float | None = None
        self._listing = asyncio.Lock()

    async def tools(self) -> Sequence[ServerTool]:
        """Return the tools that may be called; an older list when the server does not answer.

        Raises:
            ChatError: UPSTREAM_UNAVAILABLE: it has not yet answered.
        """
        async with self._listing:
            if self._is_stale():
                try:
                    async with asyncio.timeout(LIST_SECONDS):
                        self._tools = {tool.tool: tool for tool in await self._list()}
                    self._listed_at = self._clock()
                except Exception as error:  # of the SDK, of the server, of the network
                    name, reason = self.settings.name, reason_of(error)
                    self._session.drop()
                    logger.warning("Tool server %s does not list its tools: %s", name, reason)
                    if self._listed_at is None:
                        message = f"Tool server {name} is unavailable."
                        detail = f"tool server {name}: {reason}"
                        raise ChatError(Code.UPSTREAM_UNAVAILABLE, message, detail=detail) from error
        return tuple(self._tools.values())

    async def call(self, call: ServerToolCall, arguments: dict[str, Any]) -> Called:
        """Call a tool; what fails is its result."""
        try:
            await self.tools()
        except ChatError as error:
            return failed(call, error.detail or error.message, "unavailable")
        tool = self._tools.get(call.tool)
        if tool is None:
            return failed(call, f"Tool server {self.settings.name} has no tool {call.tool}, or it is not allowed.")
        if wrong := wrong_arguments(arguments, tool.schema):
            return failed(call, f"The arguments are not valid, and the tool was not called. {wrong}")
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                result = await self._called(call.tool, arguments)
        except TimeoutError:
            return failed(call, f"The tool did not respond within {self.settings.timeout_seconds:g} s.", "timeout")
        except Exception as error:  # noqa: BLE001  # of the SDK, of the server, of the network: the model gets it
            return failed(call, f"The call failed: {reason_of(error)}", "unavailable")
        is_error = bool(result.is_error)
        return Called(ServerToolResult(call.id, text_of(result), is_error=is_error), "error" if is_error else "ok")

    async def aclose(self) -> None:
        await self._session.aclose()

    async def _called(self, tool: str, arguments: dict[str, Any]) -> "CallToolResult":
        from mcp.shared.exceptions import MCPError  # noqa: PLC0415  # loaded with the session

        client = await self._session.client()
        try:
            return await client.call_tool(tool, arguments)
        except MCPError as error:
            if error.code != SESSION_LOST:
                raise
        self._session.drop(client)
        return await (await self._session.client()).call_tool(tool, arguments)

    async def _list(self) -> list[ServerTool]:
        client = await self._session.client()
        self._session.tools_changed = False
        listed: list[Tool] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="bypass")
            listed += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        allowed = self.settings.allow
        kept = [self._tool(tool) for tool in listed if not allowed or tool.name in allowed]
        return [*{tool.name: tool for tool in reversed(kept)}.values()][::-1][:MAX_TOOLS]

    def _tool(self, tool: "Tool") -> ServerTool:
        hints = tool.annotations
        return ServerTool(
            name=name_for_models(self.settings.name, tool.name),
            server=self.settings.name,
            tool=tool.name,
            description=tool.description or tool.title or "",
            schema=tool.input_schema,
            repeatable=bool(hints and (hints.read_only_hint or hints.idempotent_hint)),
            needs_approval=self.settings.approve == "always",
        )

    def _is_stale(self) -> bool:
        listed_at = self._listed_at
        return listed_at is None or self._session.tools_changed or self._clock() - listed_at > REFRESH_SECONDS

    def _client(self, on_change: Callable[[], None]) -> "Client":
        from chatfleet_api.tools.client import new_client  # noqa: PLC0415  # imports the SDK

        return new_client(self.settings, self._connections, self._version, on_change)


def failed(call: ServerToolCall, reason: str, outcome: ToolOutcome = "invalid") -> Called:
    """Return the result of a call that failed."""
    return Called(ServerToolResult(call.id, bounded(reason), is_error=True), outcome)
