"""Whose an APIService is, and what ours says."""

import base64
from typing import Any

import pytest

from chatfleet_metrics.apiserver.registration import Endpoint, Ownership, desired, ownership_of
from chatfleet_operator.model.values import Ref

SERVICE = Ref("chatfleet-system", "chatfleet-metrics-apiserver")
OURS = desired("v1beta2", Endpoint(SERVICE, 443, "chatfleet-metrics-apiserver"), "uid-1", b"authority")


def changed(*, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of an APIService
    metadata = {**OURS["metadata"], **({} if labels is None else {"labels": labels})}
    return {**OURS, "metadata": metadata, "spec": {**OURS["spec"], **spec}}


@pytest.mark.parametrize(
    ("live", "whose"),
    [
        pytest.param(None, Ownership.ABSENT, id="none"),
        pytest.param(OURS, Ownership.OURS, id="ours"),
        pytest.param(changed(caBundle="b2xk", versionPriority=7), Ownership.OURS, id="ours, changed by somebody"),
        pytest.param(changed(labels={}), Ownership.FOREIGN, id="without our label"),
        pytest.param(
            changed(service={"namespace": "other", "name": SERVICE.name}), Ownership.FOREIGN, id="a release's beside"
        ),
        pytest.param(changed(service=None), Ownership.FOREIGN, id="the API server's own"),
    ],
)
def test_ours_bears_our_label_and_leads_to_our_service(live: dict[str, Any] | None, whose: Ownership) -> None:
    assert ownership_of(live, SERVICE) is whose


def test_ours_is_verified_by_our_authority_and_goes_with_its_owner() -> None:
    assert OURS["metadata"]["name"] == "v1beta2.custom.metrics.k8s.io"
    assert [owner["uid"] for owner in OURS["metadata"]["ownerReferences"]] == ["uid-1"]
    assert base64.b64decode(OURS["spec"]["caBundle"]) == b"authority"
    assert "insecureSkipTLSVerify" not in OURS["spec"]


def test_the_newer_version_is_preferred() -> None:
    older = desired("v1beta1", Endpoint(SERVICE, 443, "x"), "uid-1", b"")
    assert OURS["spec"]["versionPriority"] > older["spec"]["versionPriority"]
