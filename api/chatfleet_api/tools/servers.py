"""The tool servers of the current configuration: each is connected to when a model first needs it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from typing import Protocol

from chatfleet_api.domain.events import ServerToolCall, ServerToolResult
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.tools import ServerTool, ToolOutcome, arguments_of
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.tools.server import Called, McpServer, failed
from chatfleet_contract.runtime import RuntimeConfig


class ToolMeter(Protocol):
    """Counts calls of tools."""

    def tool_called(self, server: str, tool: str, outcome: ToolOutcome, seconds: float) -> None: ...


class McpServers:
    """Lists and calls tools. A server whose settings did not change keeps its session."""

    def __init__(
        self,
        config: Live[RuntimeConfig],
        connections: ConnectionPool,
        *,
        clock: Callable[[], float],
        version: str,
        meter: ToolMeter,
    ) -> None:
        self._config = config
        self._connections = connections
        self._clock = clock
        self._version = version
        self._meter = meter
        self._current: RuntimeConfig | None = None
        self._servers: dict[str, McpServer] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def tools(self, servers: Sequence[str]) -> Sequence[ServerTool]:
        """Return the tools of `servers` that may be called.

        Raises:
            ChatError: UPSTREAM_UNAVAILABLE: one of them has not yet listed its tools.
        """
        current = self._followed()
        listed = await asyncio.gather(*(current[name].tools() for name in servers if name in current))
        return [tool for tools in listed for tool in tools]

    async def call(self, call: ServerToolCall) -> ServerToolResult:
        """Call a tool; what fails is its result."""
        begun = self._clock()
        result, outcome = await self._call(call)
        self._meter.tool_called(call.server, call.tool, outcome, self._clock() - begun)
        return result

    async def _call(self, call: ServerToolCall) -> Called:
        server = self._followed().get(call.server)
        if server is None:
            return failed(call, f"Tool server {call.server} is no longer configured.")
        arguments = arguments_of(call.arguments)
        if arguments is None:
            return failed(call, "The arguments are no JSON object, and the tool was not called.")
        return await server.call(call, arguments)

    async def aclose(self) -> None:
        """Close all sessions."""
        self._end(self._servers.values())
        self._servers = {}
        await asyncio.gather(*self._ending)

    def _followed(self) -> dict[str, McpServer]:
        """Return the servers of the current configuration, by name."""
        config = self._config()
        if config is self._current:
            return self._servers
        egress = Egress.of(config.egress)
        if self._connections.dialer.egress != egress:
            self._connections.use(Dialer(egress))
        before, self._current = self._servers, config
        self._servers = {
            settings.name: kept
            if (kept := before.get(settings.name)) and kept.settings == settings
            else McpServer(settings, self._connections, self._clock, self._version)
            for settings in config.tool_servers
        }
        kept_ones = set(map(id, self._servers.values()))
        self._end(server for server in before.values() if id(server) not in kept_ones)
        return self._servers

    def _end(self, servers: Iterable[McpServer]) -> None:
        for server in servers:
            task = asyncio.create_task(server.aclose())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


@asynccontextmanager
async def open_tool_servers(
    config: Live[RuntimeConfig], *, clock: Callable[[], float], version: str, meter: ToolMeter
) -> AsyncGenerator[McpServers, None]:
    """Yield the tool servers of a pod, and close their sessions at the end."""
    with closing(ConnectionPool(Dialer(Egress.of(config().egress)))) as connections:
        servers = McpServers(config, connections, clock=clock, version=version, meter=meter)
        try:
            yield servers
        finally:
            await servers.aclose()
