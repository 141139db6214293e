"""The program that the conformance suite of the MCP project drives: our client, on the server that the suite runs.

The suite gives the server's URL as the last argument. The program calls each tool that the server lists, once, as a pod
does for a model, with arguments that fit the tool's schema.
"""

import asyncio
import json
import sys
import time
from typing import Any

from chatfleet_api.domain.events import ServerToolCall
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.tools import ServerTool
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.tools.servers import open_tool_servers
from chatfleet_contract.runtime import RuntimeConfig, RuntimeToolServer
from harness.net import LOOPBACK_EGRESS

SERVER = "suite"
VALUES = {"number": 5, "integer": 5, "string": "text", "boolean": True}


async def call_all(url: str) -> None:
    """Call each tool that the server lists; raise when a call fails."""
    config = RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(),
        models=(),
        tool_servers=(RuntimeToolServer(name=SERVER, url=url, timeout_seconds=20),),
        egress=LOOPBACK_EGRESS,
    )
    async with open_tool_servers(Live(lambda: config), clock=time.monotonic, version="1", meter=Meter("1")) as servers:
        for number, tool in enumerate(await servers.tools([SERVER])):
            made = json.dumps(arguments(tool))
            result = await servers.call(ServerToolCall(1, f"c{number}", tool.name, SERVER, tool.tool, made))
            if result.is_error:
                raise RuntimeError(f"{tool.tool}: {result.content}")


def arguments(tool: ServerTool) -> dict[str, Any]:
    """Return arguments that a tool takes."""
    properties = tool.schema.get("properties", {})
    return {name: VALUES[properties[name]["type"]] for name in tool.schema.get("required", ())}


if __name__ == "__main__":
    asyncio.run(call_all(sys.argv[-1]))
