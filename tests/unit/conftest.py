"""What holds for every unit test: it reaches no network, and it ends soon."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import disable_socket

HERE = Path(__file__).parent
SECONDS = 30
"""Far more than any unit test needs, so that only one that hangs is stopped."""

# No property promises a time: an example may take as long as a loaded machine needs.
settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop a unit test that hangs much sooner than the tests of whole systems; one that takes longer has its own."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


def pytest_runtest_setup() -> None:
    """Refuse sockets; only the event loop's own pair of Unix sockets is allowed. pytest-socket allows them again."""
    disable_socket(allow_unix_socket=True)
