"""MCP servers, whose tools models call: the client is the official SDK, imported with the first call.

Knows no run and no model: `chat/tool_steps.py` decides what is called, and when.

- `servers`: the tool servers of the current configuration (`McpServers`)
- `server`: one of them: its list of tools, and its calls (`McpServer`)
- `session`: a session of the SDK, opened when it is needed and closed when it is idle (`McpSession`)
- `client`: a client of the SDK for one server, whose requests leave through the outbound guard
- `headers`: the headers in the mounted files of a Secret
- `arguments`: whether arguments are what a tool takes
- `content`: a result as text for a model, bounded in size
"""
