"""The real parts that the two sides of a promise are held to."""

import pytest

from harness.kube.helm import Helm, ensure_helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Find helm, or build it."""
    return ensure_helm()
