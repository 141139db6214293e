"""The first thing that a new user runs, from nothing to an answer, and once more; then agents in the same cluster."""

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from harness.kube.node import ROOT

CLUSTER = "e2e-demo"
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
def demo() -> Iterator[Callable[[], str]]:
    """Return a call that runs the demo in a cluster of its own and gives what it printed."""

    def run() -> str:
        done = subprocess.run([ROOT / "tools/demo", CLUSTER], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield run
    subprocess.run([ROOT / ".venv/bin/chatfleet-cluster", "down", "--name", CLUSTER], check=True)


def ask_agents() -> str:
    """Run the demo of agents in the cluster that is up, and return what it printed."""
    done = subprocess.run([ROOT / "tools/demo-agents", CLUSTER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.feature(29, 30)
def test_the_demo_streams_an_answer_can_be_repeated_and_has_agents(demo: Callable[[], str]) -> None:
    first, again = demo(), demo()

    for said in (first, again):
        assert re.findall(r"^\[\d/6\] (.+)  \(\d+ s\)$", said, re.MULTILINE) == STEPS
        assert re.search(r"^ +\d+ s  Ready +True +Serving: ", said, re.MULTILINE)
        assert re.search(r"^A ship's radio operator .+ is what a good night's work looks like\.$", said, re.MULTILINE)
        assert re.search(r"^hello +True +Serving ", said, re.MULTILINE)
        assert re.search(r"^Done in \d+ s\.", said, re.MULTILINE)

    asked = ask_agents()
    assert "[1/6]" not in asked  # the cluster of the demo is used again
    answering = re.findall(r"^  agent    (\w+): ", asked, re.MULTILINE)
    assert answering == ["billing", "billing", "technical", "orders", "policy"]
    assert re.findall(r"^  source   (.+)$", asked, re.MULTILINE) == ["desk-documents/errors.md"]
    assert asked.count("Order 1007 is at the door.") == 2  # the tool's result, and the answer that repeats it
