"""The health expressions for Flux in docs/guide/gitops.md, evaluated by the CEL of a real API server.

An admission policy refuses a status with the name of the first expression that is true, in the order in which Flux
tries them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatfleet_contract import names
from harness.kube.chatdeployments import ChatDeployments, Document, RefusedError
from harness.kube.kubectl import Kubectl
from harness.polling import eventually

FIXTURES = Path(__file__).parent / "fixtures"
PAGE = (Path(__file__).parents[3] / "docs" / "guide" / "gitops.md").read_text()
CASES: list[dict[str, Any]] = yaml.safe_load((FIXTURES / "health.yaml").read_text())
MINIMAL: Document = yaml.safe_load((FIXTURES / "minimal.yaml").read_text())
OF_THE_OBJECT = re.compile(r"(?<![.\w])(?=(status|metadata)\.)")
"""Flux evaluates on the object itself, a policy on the variable `object`."""
POLICY = "health-of-chatdeployments"


def policy() -> str:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (expressions,) = yaml.safe_load(text)["spec"]["healthCheckExprs"]
    assert (expressions["apiVersion"], expressions["kind"]) == (names.API_VERSION, names.KIND)
    rules = {"apiGroups": [names.GROUP], "apiVersions": ["*"], "operations": ["UPDATE"]}
    validations = [
        {"expression": f"!({OF_THE_OBJECT.sub('object.', expressions[name])})", "message": name}
        for name in ("inProgress", "failed", "current")
    ]
    api = "admissionregistration.k8s.io/v1"
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": api,
                "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": POLICY},
                "spec": {
                    "matchConstraints": {"resourceRules": [{**rules, "resources": [f"{names.PLURAL}/status"]}]},
                    "validations": validations,
                },
            },
            {
                "apiVersion": api,
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": POLICY},
                "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
            },
        ]
    )


@pytest.fixture(scope="module")
def existing(kubectl: Kubectl, chatdeployments: ChatDeployments) -> Iterator[Document]:
    """Keep a document while the policy is enforced."""
    with chatdeployments.kept({**MINIMAL, "metadata": {"name": "healthy"}}) as created:
        kubectl.apply(policy())
        try:
            eventually(lambda: health(chatdeployments, created, CASES[-1]))
            yield created
        finally:
            kubectl("delete", "-f", "-", stdin=policy())
            eventually(lambda: not health(chatdeployments, created, CASES[-1]))


def health(chatdeployments: ChatDeployments, existing: Document, case: dict[str, Any]) -> str:
    """Return the expression that is true for the status of `case`; empty: the policy is not enforced."""
    conditions = [
        {
            **dict(zip(("type", "status", "reason"), (kind, *text.split()), strict=True)),
            "message": "x",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, text in case["conditions"].items()
    ]
    observed = existing["metadata"]["generation"] - case.get("generation", 1) + 1
    status = {"observedGeneration": observed, "conditions": conditions}
    try:
        chatdeployments.try_replace_status({**existing, "status": status})
    except RefusedError as refused:
        return str(refused).rsplit(" ", 1)[-1]
    return ""


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_flux_sees_the_health(chatdeployments: ChatDeployments, existing: Document, case: dict[str, Any]) -> None:
    assert health(chatdeployments, existing, case) == case["flux"]
