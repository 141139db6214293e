"""An MCP server of the official SDK as a process, with a ledger: a line for each call, written before it answers."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.net import LOOPBACK, free_port, is_open
from harness.process import Program, await_ready, started

FAILING = "failing"
"""The key for which tools return an error."""


@dataclass(frozen=True)
class McpServerProcess:
    """A running server."""

    program: Program
    port: int
    file: Path

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://{LOOPBACK}:{self.port}/mcp"

    def ledger(self) -> list[dict[str, Any]]:
        """Return the calls that it got: `tool`, `key`, and the header `authorization`."""
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def calls(self, key: str) -> int:
        """Return how often it was called with `key`."""
        return sum(call["key"] == key for call in self.ledger())


@contextmanager
def mcp_server(folder: Path, *, port: int | None = None) -> Iterator[McpServerProcess]:
    """Run a server, with its ledger in `folder`, until the block ends."""
    port, file = port or free_port(), folder / "ledger.jsonl"
    command = (sys.executable, "-m", "harness.upstream.mcp_server", str(port), str(file))
    with started("mcp", command, folder=folder) as program:
        await_ready(program, lambda: is_open(port), port=port)
        yield McpServerProcess(program, port, file)


def serve(port: int, file: Path) -> None:
    """Serve `search` (read-only), `create`, and `hidden`; each waits for `seconds` before it answers."""
    import uvicorn  # noqa: PLC0415  # of the process alone
    from mcp.server.mcpserver import Context, MCPServer  # noqa: PLC0415
    from mcp_types import ToolAnnotations  # noqa: PLC0415

    server = MCPServer("tickets")

    async def called(tool: str, key: str, seconds: float, context: Any) -> str:  # noqa: ANN401  # generic in three
        headers = context.request_context.request.headers
        with file.open("a") as ledger:
            ledger.write(json.dumps({"tool": tool, "key": key, "authorization": headers.get("authorization")}) + "\n")
        await asyncio.sleep(seconds)
        if key == FAILING:
            raise ValueError("The ticket is locked.")
        return f"{tool} {key} is done, and here are some more words"

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def search(key: str, context: Context, seconds: float = 0) -> str:
        return await called("search", key, seconds, context)

    @server.tool()
    async def create(key: str, context: Context, seconds: float = 0) -> str:
        return await called("create", key, seconds, context)

    @server.tool()
    async def hidden(key: str, context: Context) -> str:
        return await called("hidden", key, 0, context)

    uvicorn.run(server.streamable_http_app(), host=LOOPBACK, port=port, log_level="warning")


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
