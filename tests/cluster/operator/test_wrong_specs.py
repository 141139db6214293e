"""Wrong ChatDeployments that the API server accepts: a condition names what is wrong within 10 s.

No controller runs here: rows about pods that cannot be created are in test_start_failures.py.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

import pytest
import yaml

from harness.kube.chatdeployments import ChatDeployments, Document
from harness.kube.kubectl import Kubectl
from harness.kube.operator_process import OperatorProcess, account, cluster_wide, grant, operator
from harness.kube.wrong_specs import REDIS, WrongSpec, document, wrong_specs
from harness.polling import eventually

pytestmark = pytest.mark.timeout(180)  # of the fixture, which applies all rows

SECONDS: Final = 10
AT_A_TIME: Final = 8
"""ChatDeployments that are new at the same time: each makes some ten objects."""

ROWS: Final = {
    f"wrong-{number}": row
    for number, row in enumerate(wrong_specs())
    if row.condition and row.condition[0] != "Progressing"
}
BESIDE: Final = [document(row.beside, "beside") for row in ROWS.values() if row.beside]
SECRET: Final = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": REDIS["urlSecretRef"]["name"], "namespace": "default"},
    "data": {REDIS["urlSecretRef"]["key"]: base64.b64encode(b"redis://redis:6379/0").decode()},
}


@pytest.fixture(scope="module")
def running(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """Run the operator with its own defaults, for the namespace of these rows."""
    folder = tmp_path_factory.mktemp("wrong")
    kubeconfig = account(kubectl, folder)
    grant(kubectl, *cluster_wide())
    kubectl.apply(yaml.safe_dump(SECRET))
    with operator(kubeconfig, folder / "operator.log", {"NAMESPACES": "default"}) as process:
        process.elected()
        yield process


@pytest.fixture(scope="module")
def applied(
    kubectl: Kubectl,
    chatdeployments: ChatDeployments,
    running: OperatorProcess,  # noqa: ARG001  # it works there
) -> Iterator[Mapping[str, Document]]:
    """Apply all rows, some at a time, and return what each has become, by the name that its row has here."""
    names = {name: row.document(name)["metadata"]["name"] for name, row in ROWS.items()}
    found: dict[str, Document] = {}

    def have_conditions(rows: Mapping[str, WrongSpec]) -> bool:
        listed = kubectl.json("get", "chatdeployments", "-n", "default")["items"]
        found.update({each["metadata"]["name"]: each for each in listed})
        return all(condition(found[names[name]], row) for name, row in rows.items())

    for each in BESIDE:
        chatdeployments.create(each)
    taken = {f"service/{names[name]}" for name, row in ROWS.items() if row.beside}
    eventually(lambda: taken <= set(kubectl("get", "services", "-n", "default", "-o", "name").split()))
    for first in range(0, len(ROWS), AT_A_TIME):
        rows = dict(list(ROWS.items())[first : first + AT_A_TIME])
        for name, row in rows.items():
            chatdeployments.create(row.document(name))
        with suppress(TimeoutError):  # the test of the row fails
            eventually(partial(have_conditions, rows))
    yield {name: found.get(names[name], {}) for name in ROWS}
    kubectl("delete", "chatdeployments", "--all", "-n", "default", "--wait=false")


def condition(live: Document, row: WrongSpec) -> dict[str, Any] | None:
    """Return the condition that `row` should have; None: it has another reason or other words."""
    conditions = live.get("status", {}).get("conditions", [])
    found = (each for each in conditions if (each["type"], each["reason"]) == row.condition)
    return next((each for each in found if all(word in each["message"] for word in row.words)), None)


@pytest.mark.parametrize("name", [pytest.param(name, id=str(row)) for name, row in ROWS.items()])
def test_a_condition_names_what_is_wrong_in_time(applied: Mapping[str, Document], name: str) -> None:
    live = applied[name]
    found = condition(live, ROWS[name])
    assert found, live.get("status")
    assert found["status"] == "False"
    since, told = live["metadata"]["creationTimestamp"], found["lastTransitionTime"]
    assert (datetime.fromisoformat(told) - datetime.fromisoformat(since)).total_seconds() <= SECONDS
