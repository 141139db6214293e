"""An MCP server with one tool: the state of an order. It stands for a tool server of yours.

python orders.py 8080
"""

import argparse

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from starlette.applications import Starlette

STATES = ("is being packed", "was handed to the carrier", "is at the door")
ANY_INTERFACE = "0.0.0.0"  # noqa: S104  # other pods call it


def app() -> Starlette:
    """Return the server. It keeps no session, so that it may have several replicas."""
    server = MCPServer("orders")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def status(order: int) -> str:
        """Return the state of an order by its number."""
        return f"Order {order} {STATES[order % len(STATES)]}."

    return server.streamable_http_app(stateless_http=True, json_response=True, host=ANY_INTERFACE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    uvicorn.run(app(), host=ANY_INTERFACE, port=parser.parse_args().port, log_level="warning")
