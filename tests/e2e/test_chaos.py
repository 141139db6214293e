"""One scenario of the chaos harness on the node; `make chaos-node` plays all that can be played there, at length."""

from pathlib import Path

import pytest

from chatfleet_lab.chaos.node import on_node
from chatfleet_lab.chaos.runner import run
from chatfleet_lab.chaos.scenarios.pod_crash import SCENARIO
from harness.kube.node import Node

pytestmark = pytest.mark.timeout(300)
SEED = 1


async def test_what_a_killed_pod_was_streaming_never_looks_whole_and_its_messages_are_kept(
    installed: Node, tmp_path: Path
) -> None:
    result = await run(SCENARIO, "short", SEED, tmp_path, on_node(installed))
    assert result.passed, result.verdict()
