"""The real parts that the two sides of a promise are held to."""

import pytest

from support.helm import Helm, ensure_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Find helm, or build it."""
    return ensure_helm()
