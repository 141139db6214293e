"""No part of a pod opens connections beside the outbound guard, so that no URL can go around it.

Redis and PostgreSQL have clients of their own: their addresses are Secrets of the resource, and their protocols are
not HTTP.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import chatfleet_api

ROOT: Final = Path(chatfleet_api.__file__).parent
GUARDED: Final = ("archive/", "http/", "redis/")
CLIENTS: Final = frozenset(
    {
        *("aiohappyeyeballs", "aiohttp", "ftplib", "grpc", "http.client", "httpx", "httpx2", "requests", "smtplib"),
        *("opentelemetry.exporter.otlp.proto.grpc", "opentelemetry.exporter.otlp.proto.http"),
        *("mcp.client.sse", "mcp.client.stdio"),
        *("psycopg", "psycopg_pool", "urllib.request", "urllib3", "websockets", "xmlrpc.client"),
    }
)
"""Modules that open connections."""
CALLS: Final = frozenset({"create_connection", "open_connection", "open_unix_connection", "sock_connect", "urlopen"})
"""Functions that do, of modules that everybody imports."""


def ways_out(tree: ast.AST) -> Iterator[str]:
    """Yield what opens connections in a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if _is_client(each.name))
            case ast.ImportFrom(module=str(module), names=names):
                yield from (
                    f"{module}.{each.name}"
                    for each in names
                    if _is_client(module) or f"{module}.{each.name}" in CLIENTS or each.name in CALLS
                )
            case ast.Attribute(attr=name) if name in CALLS:
                yield name


def _is_client(module: str) -> bool:
    return any(module == client or module.startswith(f"{client}.") for client in CLIENTS)


def test_connections_leave_a_pod_through_the_guard_alone() -> None:
    modules = {path.relative_to(ROOT).as_posix(): path for path in ROOT.rglob("*.py")}
    assert len(modules) > 100
    found = {
        (name, way)
        for name, path in modules.items()
        if not name.startswith(GUARDED)
        for way in ways_out(ast.parse(path.read_text()))
    }
    assert not found


def test_another_way_out_would_be_seen() -> None:
    planted = (
        "import httpx\nfrom urllib import request\nfrom aiohttp import ClientSession\nfrom asyncio import"
        " open_connection\nloop.create_connection()\nimport urllib.parse\nimport asyncio"
    )
    assert sorted(ways_out(ast.parse(planted))) == [
        *("aiohttp.ClientSession", "asyncio.open_connection", "create_connection", "httpx", "urllib.request"),
    ]
