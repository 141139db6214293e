"""Pods that call the tools of one MCP server, on one Redis."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from chatfleet_contract.runtime import RuntimeConfig
from harness.pods.api_process import ApiProcess, api_process
from harness.redis.server import redis_server
from harness.upstream.mcp_server import McpServerProcess, mcp_server


class ToolFleet(NamedTuple):
    """The pods that run, and what they call."""

    pods: list[ApiProcess]
    server: McpServerProcess


@contextmanager
def tool_fleet(
    folder: Path, config: Callable[[Path, str, McpServerProcess], RuntimeConfig], pods: int
) -> Iterator[ToolFleet]:
    """Run all until the block ends. `config` gets the folder, the URL of Redis and the server."""
    with mcp_server(folder) as server, redis_server(folder) as redis_url, ExitStack() as stack:
        served = config(folder, redis_url, server)
        yield ToolFleet([stack.enter_context(api_process(folder, served)) for _ in range(pods)], server)
