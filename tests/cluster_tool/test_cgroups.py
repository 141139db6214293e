"""The kernel keeps the record of a cluster's processes, so that none escapes."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatfleet_cluster.cgroups import Group, hierarchies
from chatfleet_cluster.waiting import wait_until

ENTER = 'echo 0 > "$0" && exec setsid --fork sh -c "echo ready; sleep 600"'


@pytest.fixture(name="group")
def _group() -> Iterator[Group]:
    group = Group(f"chatfleet-test-{os.getpid()}", hierarchies())
    group.create()
    yield group
    group.kill()
    group.remove(wait_until)


def start(entry: Path) -> None:
    """Start a process in the group that leaves its session and its parent."""
    with subprocess.Popen(["sh", "-c", ENTER, str(entry)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == b"ready\n"


def test_a_process_that_left_its_parent_is_still_known_and_killed(group: Group) -> None:
    start(group.entry("one"))
    assert group.processes("one")

    group.kill()

    wait_until(lambda: not group.processes("one"), "the kill")


def test_a_component_that_was_never_started_has_no_process(group: Group) -> None:
    assert group.processes("nobody") == frozenset()


def test_removal_leaves_no_group_in_any_hierarchy(group: Group) -> None:
    start(group.entry("one"))
    group.kill()

    group.remove(wait_until)

    assert not group.exists()
