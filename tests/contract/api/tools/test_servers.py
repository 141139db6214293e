"""The client of MCP servers, against the SDK's own server: sessions, failures, the outbound guard."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import ServerToolCall
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.tools import client
from chatfleet_api.tools.servers import McpServers, open_tool_servers
from chatfleet_contract.runtime import RuntimeConfig, RuntimeEgress, RuntimeToolServer
from harness.net import LOOPBACK_EGRESS, free_port
from harness.upstream.mcp_server import mcp_server


def config(url: str, egress: RuntimeEgress = LOOPBACK_EGRESS, allow: Sequence[str] = ()) -> RuntimeConfig:
    server = RuntimeToolServer(name="tickets", url=url, allow=tuple(allow), timeout_seconds=5)
    return RuntimeConfig(
        deployment="support", namespace="shop", providers=(), models=(), tool_servers=(server,), egress=egress
    )


def opened(config: Callable[[], RuntimeConfig], meter: Meter | None = None) -> AbstractAsyncContextManager[McpServers]:
    return open_tool_servers(Live(config), clock=time.monotonic, version="1", meter=meter or Meter("1"))


def search(key: str) -> ServerToolCall:
    return ServerToolCall(1, "c1", "tickets__search", "tickets", "search", f'{{"key": "{key}"}}')


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_server_that_restarts_is_reached_again(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older protocol has sessions, which a restart ends; the newer one has none."""
    monkeypatch.setattr(client, "MODE", mode)
    port = free_port()
    served = config(f"http://127.0.0.1:{port}/mcp", allow=["search"])
    async with opened(lambda: served) as servers:
        with mcp_server(tmp_path, port=port) as server:
            (tool,) = await servers.tools(["tickets"])
            assert (tool.name, tool.repeatable) == ("tickets__search", True)
            assert not (await servers.call(search("first"))).is_error
            assert server.calls("first") == 1
        away = await servers.call(search("away"))
        assert away.is_error
        assert "The call failed" in away.content
        with mcp_server(tmp_path, port=port) as server:
            assert (await servers.call(search("again"))).content.startswith("search again is done")
            assert (server.calls("first"), server.calls("away"), server.calls("again")) == (1, 0, 1)


async def test_the_outbound_guard_decides_what_is_reached() -> None:
    served = config("http://169.254.169.254/mcp", RuntimeEgress(allow=("169.254.169.254",)))
    async with opened(lambda: served) as servers:
        with pytest.raises(ChatError) as refused:
            await servers.tools(["tickets"])
    assert refused.value.code is Code.UPSTREAM_UNAVAILABLE
    assert "are refused" in (refused.value.detail or "")
    assert "169.254" not in refused.value.message


async def test_a_server_that_leaves_the_configuration_is_not_called(tmp_path: Path) -> None:
    with mcp_server(tmp_path) as server:
        served = [config(server.url)]
        async with opened(lambda: served[0]) as servers:
            assert len(await servers.tools(["tickets"])) == 3
            served[0] = served[0].model_copy(update={"tool_servers": ()})
            result = await servers.call(search("gone"))
        assert (result.is_error, server.calls("gone")) == (True, 0)
        assert "no longer configured" in result.content


async def test_each_call_is_counted_by_what_became_of_it(tmp_path: Path) -> None:
    meter = Meter("1")
    with mcp_server(tmp_path) as server:
        served = config(server.url)
        async with opened(lambda: served, meter) as servers:
            await servers.tools(["tickets"])
            for arguments in ('{"key": "counted"}', '{"key": "failing"}', "{}"):
                await servers.call(ServerToolCall(1, "c1", "tickets__search", "tickets", "search", arguments))
            server.program.kill()
            await servers.call(search("away"))
    lines = meter.exposition().decode()
    for outcome in ("ok", "error", "invalid", "unavailable"):
        assert f'chatfleet_tool_calls_total{{outcome="{outcome}",server="tickets",tool="search"}} 1.0' in lines
    assert "chatfleet_tool_call_duration_seconds_count 3.0" in lines
