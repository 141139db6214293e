"""Wrong specs that the API server accepts, and whose pods it does not: reported within 10 s.

No kubelet runs here. Faults that are not in a spec are in test_faults.py.
"""

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

import pytest
import yaml

from chatfleet_lab.faults.rows.manifests import storage_class
from harness.kube.controllers import operated
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.wrong_specs import WrongSpec, wrong_specs
from harness.polling import eventually

pytestmark = [pytest.mark.timeout(180), pytest.mark.timed]

SECONDS: Final = 10
"""Until a cause is in a condition."""
WRONG: Final = [row for row in wrong_specs() if row.condition and row.condition[0] == "Progressing"]

numbers = count(1)


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Start an API server of its own, all controllers, and the operator with its own defaults."""
    with operated(tmp_path_factory.mktemp("start"), {}) as kubectl:
        default = {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
        kubectl.apply(yaml.safe_dump({**storage_class("standard"), "metadata": default}))
        yield kubectl


@pytest.fixture
def chatdeployment(kubernetes: Kubectl) -> LiveChatDeployment:
    name = f"start-{next(numbers)}"
    kubernetes.create_namespace(name)
    return LiveChatDeployment(kubernetes, name)


@pytest.mark.parametrize("row", WRONG, ids=str)
def test_a_wrong_spec_is_told_in_time(chatdeployment: LiveChatDeployment, row: WrongSpec) -> None:
    chatdeployment.apply(**row.document("support")["spec"])

    assert row.condition
    assert seconds_until(chatdeployment.has_condition(*row.condition, *row.words)) <= SECONDS
    assert chatdeployment.condition("Progressing")["status"] == "False"


def seconds_until(holds: Callable[[], bool]) -> float:
    """Return how long it takes until `holds()` is true; longer than allowed is a number too."""
    start = time.monotonic()
    eventually(holds, seconds=4 * SECONDS)
    return time.monotonic() - start
