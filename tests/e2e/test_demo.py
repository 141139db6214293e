"""The first thing that a new user runs, from nothing to an answer, and once more; then agents in the same cluster."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from chatfleet_cluster.layout import folder_of
from harness.kube.node import ROOT, node_of

STEPS = [
    "A cluster",
    "The images",
    "The operator",
    "A ChatDeployment",
    "An answer, through its Service, by the openai SDK",
    "What there is now",
]

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def fresh(cluster: str) -> Iterator[str]:
    """Name of a cluster that does not exist; what the demos make in it goes in the end, for the tests after this."""
    assert not folder_of(cluster).exists()
    yield cluster
    if folder_of(cluster).exists():
        made = node_of(cluster)
        made.kubectl("delete", "chatdeployments", "--all", "-n", "demo", "--timeout=30s")
        made.kubectl("delete", "namespace", "demo", "--wait=false")
        made.helm("uninstall", "chatfleet", "--wait")


def play(program: str, cluster: str) -> str:
    """Run one of the demos in a cluster, and return what it printed."""
    done = subprocess.run([ROOT / "tools" / program, cluster], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.feature(29, 30)
def test_the_demo_streams_an_answer_can_be_repeated_and_has_agents(fresh: str) -> None:
    first, again = play("demo", fresh), play("demo", fresh)

    for said in (first, again):
        assert re.findall(r"^\[\d/6\] (.+)  \(\d+ s\)$", said, re.MULTILINE) == STEPS
        assert re.search(r"^ +\d+ s  Ready +True +Serving: ", said, re.MULTILINE)
        assert re.search(r"^A ship's radio operator .+ is what a good night's work looks like\.$", said, re.MULTILINE)
        assert re.search(r"^hello +True +Serving ", said, re.MULTILINE)
        assert re.search(r"^Done in \d+ s\.", said, re.MULTILINE)

    asked = play("demo-agents", fresh)
    assert "[1/6]" not in asked  # the cluster of the demo is used again
    answering = re.findall(r"^  agent    (\w+): ", asked, re.MULTILINE)
    assert answering == ["billing", "billing", "technical", "orders", "policy"]
    assert re.findall(r"^  source   (.+)$", asked, re.MULTILINE) == ["desk-documents/errors.md"]
    assert asked.count("Order 1007 is at the door.") == 2  # the tool's result, and the answer that repeats it
