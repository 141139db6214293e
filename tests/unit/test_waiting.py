"""No test waits for a length of time, but for an event, for a condition by the harness' poller, or in virtual time."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
REAL_TIME = ("e2e", "lab", "prometheus", "cluster_tool")
"""Folders whose subject is a whole system in real time."""
EXCEPTIONS = {
    "harness/polling.py": "the poller",
    "harness/clients/follower.py": "a client's own pause before it comes back",
    "harness/clients/load.py": "begins streams at a steady rate",
    "harness/pods/activator.py": "plays a pod that takes its time; virtual in unit tests",
    "harness/pods/runs.py": "plays a provider that takes its time; virtual in unit tests",
    "harness/upstream/plays.py": "plays a provider that takes its time; virtual in unit tests",
    "harness/upstream/fake.py": "keeps two sends apart on the wire",
    "contract/api/providers/test_conformance.py": "slow upstreams and readers, against a connection's deadlines",
    "contract/api/redis/test_lag_tolerant_timeout.py": "blocks the event loop",
    "contract/api/chat/test_cancel_and_outage.py": "an outage that outlasts the leases of a real Redis",
    "contract/api/sessions/test_redis.py": "cancels calls of a real Redis at any moment",
    "contract/api/sessions/test_replicas.py": "replication of a real Redis",
    "contract/api/usage/test_ledger.py": "ends answers at any moment, whose sums a real Redis has",
    "harness/upstream/mcp_server.py": "lets a tool take its time, in a process of its own",
    "harness/upstream/scripted.py": "plays the pauses of a script, in a process of its own",
}
"""Files that sleep, and why."""


def sleeps(file: Path) -> Iterator[int]:
    """Yield the lines that sleep for longer than one turn of the event loop, in real time."""
    text = file.read_text()
    if "mark.looptime" in text or "import looptime" in text:  # virtual
        return
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep"), args=[ast.Constant(value=0)]):
                continue
            case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep")):
                yield node.lineno


def test_no_test_sleeps_on_the_wall_clock() -> None:
    files = {str(file.relative_to(TESTS)): file for file in TESTS.rglob("*.py") if "node_modules" not in file.parts}
    sleeping = {name: [*sleeps(file)] for name, file in files.items() if not name.startswith(REAL_TIME)}
    assert {name for name, lines in sleeping.items() if lines} == EXCEPTIONS.keys()
