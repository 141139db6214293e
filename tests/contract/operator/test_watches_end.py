"""How the operator ends when its watches do: by itself, in one sentence with the cause."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from chatfleet_contract import names

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: a, cluster: {{server: "{server}"}}}}]
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
users: [{{name: a, user: {{token: t}}}}]
current-context: a
"""
OURS = {"name": names.PLURAL, "kind": names.KIND, "singularName": "chatdeployment", "namespaced": True}
VERSION = {"groupVersion": names.API_VERSION, "version": names.VERSION}
NAMESPACES = {"name": "namespaces", "kind": "Namespace", "singularName": "namespace", "namespaced": False, "verbs": []}
"""For which kopf waits before it watches anything."""
DISCOVERY: dict[str, Any] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [NAMESPACES]},
    "/apis": {"groups": [{"name": names.GROUP, "versions": [VERSION], "preferredVersion": VERSION}]},
    f"/apis/{names.GROUP}": {"name": names.GROUP, "versions": [VERSION], "preferredVersion": VERSION},
    f"/apis/{names.API_VERSION}": {"resources": [{**OURS, "verbs": ["get", "list", "watch"]}]},
}


async def test_an_api_server_that_no_longer_serves_the_kind_ends_it_in_one_sentence(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        known = DISCOVERY.get(request.path)
        return web.json_response(known) if known else web.Response(text="404 page not found\n", status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    config = tmp_path / "config"
    async with TestServer(app) as server:
        config.write_text(KUBECONFIG.format(server=server.make_url("")))
        variables = {"HEALTH_PORT": "0", "LEADER_ELECTION": "false", "LOG_FORMAT": "text"}
        environ = {"PATH": os.environ["PATH"], "KUBECONFIG": str(config)}
        environ |= {f"CHATFLEET_OPERATOR_{name}": value for name, value in variables.items()}
        command = (sys.executable, "-m", "chatfleet_operator")
        ended = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.PIPE)
        _, log = await ended.communicate()

    assert ended.returncode == 1, "it ends by itself, and nobody kills it"
    lines = log.decode().splitlines()
    assert lines[-1].startswith("chatfleet-operator: the watches have stopped: ")
    assert "404 page not found" in lines[-1]
    assert "Traceback" not in log.decode()
