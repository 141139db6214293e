"""Lets a worker of pytest-xdist begin with the files that may take longest, so that none is left over at the end.

pytest-xdist itself begins with the files that have most tests; here those with few tests take longest. A file that
takes longer than its tests would have one think states so: `pytestmark = pytest.mark.lasts(SECONDS)`.
"""

from collections import Counter
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort files by how long they last, then by their longest timeout, then by their number of tests."""
    if not hasattr(config, "workerinput"):
        return
    sizes = Counter(item.path for item in items)
    lasts, timeouts = (_longest(items, marker) for marker in ("lasts", "timeout"))
    items.sort(key=lambda item: (-lasts[item.path], -timeouts[item.path], -sizes[item.path], item.path))


def _longest(items: list[pytest.Item], marker: str) -> dict[Path, float]:
    """Return for each file the greatest number that a marker has there."""
    longest: dict[Path, float] = {}
    for item in items:
        marked = item.get_closest_marker(marker)
        longest[item.path] = max(longest.get(item.path, 0), marked.args[0] if marked else 0)
    return longest
