"""Lets a worker of pytest-xdist begin with the files that may take longest, so that none is left over at the end.

pytest-xdist itself begins with the files that have most tests; here those with few tests take longest.
"""

from collections import Counter
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort files by their longest timeout, then by their number of tests."""
    if not hasattr(config, "workerinput"):
        return
    sizes = Counter(item.path for item in items)
    longest: dict[Path, float] = {}
    for item in items:
        marked = item.get_closest_marker("timeout")
        longest[item.path] = max(longest.get(item.path, 0), marked.args[0] if marked else 0)
    items.sort(key=lambda item: (-longest[item.path], -sizes[item.path], item.path))
