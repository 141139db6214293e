"""Authorization with scripted reviews."""

import json
from typing import Any

import pytest

from chatfleet_metrics.apiserver.authorization import (
    ALLOWED_SECONDS,
    DENIED_SECONDS,
    Authorization,
    subject_access_review,
)
from chatfleet_metrics.apiserver.ttl_cache import TTLCache
from chatfleet_metrics.apiserver.users import ResourceAttributes, User, request_attributes
from harness.clock import ManualClock
from harness.kube.reviews import FakeReviews

ALL_PODS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/chatfleet_active_streams"


@pytest.mark.parametrize(
    ("path", "attributes"),
    [
        (
            ALL_PODS,
            {
                "resourceAttributes": {
                    "verb": "get",
                    "group": "custom.metrics.k8s.io",
                    "version": "v1beta2",
                    "namespace": "shop",
                    "resource": "pods",
                    "subresource": "chatfleet_active_streams",
                    "name": "*",
                }
            },
        ),
        ("/apis/custom.metrics.k8s.io/v1beta2", {"nonResourceAttributes": {"path": None, "verb": "get"}}),
        ("/openapi/v2", {"nonResourceAttributes": {"path": None, "verb": "get"}}),
        (
            "/apis/g/v/nodes/n",
            {"resourceAttributes": {"verb": "get", "group": "g", "version": "v", "resource": "nodes", "name": "n"}},
        ),
    ],
)
def test_a_path_is_reviewed_as_the_api_server_parses_it(path: str, attributes: dict[str, Any]) -> None:
    expected = json.loads(json.dumps(attributes).replace("null", json.dumps(path)))
    spec = subject_access_review(User("ann", frozenset({"b", "a"}), (("k", ("v",)),), "7"), request_attributes(path))[
        "spec"
    ]
    assert spec == {"user": "ann", "groups": ["a", "b"], "uid": "7", "extra": {"k": ["v"]}, **expected}


@pytest.mark.parametrize(
    ("status", "allowed", "seconds"),
    [({"allowed": True}, True, ALLOWED_SECONDS), ({"allowed": False}, False, DENIED_SECONDS), ({}, False, 5.0)],
)
async def test_a_decision_holds_for_a_while(status: dict[str, Any], seconds: float, *, allowed: bool) -> None:
    reviews, clock = FakeReviews(status), ManualClock(0.0)
    authorization = Authorization(reviews, TTLCache(clock))
    for clock.now in (0.0, seconds - 0.1):
        assert await authorization.allows(User("ann"), request_attributes(ALL_PODS)) is allowed
    assert len(reviews.specs) == 1
    assert await authorization.allows(User("bob"), request_attributes(ALL_PODS)) is allowed
    assert await authorization.allows(User("ann"), ResourceAttributes("/apis")) is allowed
    clock.now = seconds
    await authorization.allows(User("ann"), request_attributes(ALL_PODS))
    assert len(reviews.specs) == 4
