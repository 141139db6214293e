"""Which pods are scraped."""

from typing import Any

import pytest

from chatfleet_metrics.samples.pods import API_PODS, target, trim


def pod(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a Kubernetes object
    metadata = {"namespace": "shop", "name": "one", "uid": "one", "labels": {"a": "b"}, "managedFields": [{}]}
    status = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{}]}
    spec = {"containers": [{"name": "api"}]}
    parts = {"metadata": {**metadata, **changes.get("metadata", {})}, "status": {**status, **changes.get("status", {})}}
    return {**parts, "spec": spec}


def test_the_api_pods_of_every_chatdeployment_are_followed() -> None:
    assert (API_PODS.kind, API_PODS.selector) == ("Pod", "chatfleet.io/component=api")


@pytest.mark.parametrize(
    "changes",
    [{}, {"metadata": {"deletionTimestamp": "2026-11-21T10:00:00Z"}}, {"status": {"phase": "Pending"}}],
)
def test_a_trimmed_pod_is_the_same_target(changes: dict[str, Any]) -> None:
    assert target(trim(pod(**changes))) == target(pod(**changes))
    assert "spec" not in trim(pod(**changes))
    assert trim({"metadata": {"uid": "1"}}) == {"metadata": {"uid": "1"}, "status": {}}
