"""The documents of `custom.metrics.k8s.io`: every route, both versions, and what is not there."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from chatfleet_contract import metrics
from chatfleet_metrics.apiserver.api import Now, StatusError, quantity, respond
from chatfleet_metrics.samples.pods import Target
from chatfleet_metrics.samples.sample import MetricValue

NOW = Now(1000.0, datetime(2026, 11, 20, 4, 30, 0, 900_000, tzinfo=UTC))
V2, V1 = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/custom.metrics.k8s.io/v1beta1"
STREAMS = metrics.ACTIVE_STREAMS


class Known:
    """Three pods of one namespace: a busy one, an idle one, and one without a fresh sample."""

    def in_namespace(self, namespace: str) -> Mapping[str, Target]:
        pods = {"busy": "support", "idle": "other", "silent": "support"} if namespace == "shop" else {}
        labels = "chatfleet.io/deployment"
        return {name: Target(name, "shop", name, "10.0.0.1", {labels: of}) for name, of in pods.items()}

    def value(self, uid: str, metric: str) -> MetricValue | None:
        values = {"busy": MetricValue(36.5, 988.0), "idle": MetricValue(0, 999.5)}
        return values.get(uid) if metric == STREAMS else MetricValue(12, 990.0, 5)


def ask(path: str, **query: str) -> Any:  # noqa: ANN401  # a document of the API
    return respond(path, query, Known(), NOW)


def test_the_autoscaler_gets_the_values_of_its_deployment() -> None:
    selector = "chatfleet.io/deployment=support"
    assert ask(f"{V2}/namespaces/shop/pods/*/{STREAMS}", labelSelector=selector) == {
        "kind": "MetricValueList",
        "apiVersion": "custom.metrics.k8s.io/v1beta2",
        "metadata": {},
        "items": [
            {
                "describedObject": {"kind": "Pod", "namespace": "shop", "name": "busy", "apiVersion": "v1"},
                "metric": {"name": STREAMS, "selector": None},
                "timestamp": "2026-11-20T04:29:48Z",
                "windowSeconds": 0,
                "value": "36500m",
            }
        ],
    }


def test_the_older_version_has_its_own_fields() -> None:
    (item,) = ask(f"{V1}/namespaces/shop/pods/idle/{metrics.TOKENS_PER_SECOND}")["items"]
    assert item == {
        "describedObject": {"kind": "Pod", "namespace": "shop", "name": "idle", "apiVersion": "v1"},
        "metricName": metrics.TOKENS_PER_SECOND,
        "selector": None,
        "timestamp": "2026-11-20T04:29:50Z",
        "window": 5,
        "value": "12",
    }


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ({}, ["busy", "idle"]),
        ({"labelSelector": "chatfleet.io/deployment in (other)"}, ["idle"]),
        ({"labelSelector": "nobody=has"}, []),
        ({"metricLabelSelector": "model=gpt"}, []),
        ({"metricLabelSelector": "!model"}, ["busy", "idle"]),
    ],
)
def test_idle_pods_are_listed_and_silent_ones_omitted(query: dict[str, str], chosen: list[str]) -> None:
    items = ask(f"{V2}/namespaces/shop/pods/*/{STREAMS}", **query)["items"]
    assert [item["describedObject"]["name"] for item in items] == chosen


@pytest.mark.parametrize(("path", "version"), [(V2, "v1beta2"), (V1, "v1beta1")])
def test_discovery_lists_each_metric(path: str, version: str) -> None:
    document = ask(path)
    assert (document["kind"], document["groupVersion"]) == ("APIResourceList", f"custom.metrics.k8s.io/{version}")
    assert document["resources"][0] == {
        "name": f"pods/{STREAMS}",
        "singularName": "",
        "namespaced": True,
        "kind": "MetricValueList",
        "verbs": ["get"],
    }
    assert len(document["resources"]) == 3


def test_discovery_prefers_the_newer_version() -> None:
    group = ask("/apis/custom.metrics.k8s.io/")
    assert [each["version"] for each in group["versions"]] == ["v1beta2", "v1beta1"]
    assert group["preferredVersion"]["version"] == "v1beta2"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/apis",
        "/openapi/v2",
        "/apis/metrics.k8s.io/v1beta1",
        "/apis/custom.metrics.k8s.io/v1",
        f"{V2}/namespaces/shop/pods/*",
        f"{V2}/namespaces/shop/pods/*/unknown",
        f"{V2}/namespaces/shop/services/*/{STREAMS}",
        f"{V2}/namespaces/shop/metrics/{STREAMS}",
        f"{V2}/namespaces/*/{STREAMS}",
        f"{V2}/nodes/*/{STREAMS}",
        f"{V2}/namespaces/shop/pods/silent/{STREAMS}",
        f"{V2}/namespaces/shop/pods/unknown/{STREAMS}",
    ],
)
def test_what_is_not_there_is_not_found(path: str) -> None:
    with pytest.raises(StatusError) as raised:
        ask(path)
    document = raised.value.document()
    assert (document["kind"], document["code"], document["reason"]) == ("Status", 404, "NotFound")


def test_a_bad_selector_is_the_callers_fault() -> None:
    with pytest.raises(StatusError, match="unable to parse label selector") as raised:
        ask(f"{V2}/namespaces/shop/pods/*/{STREAMS}", labelSelector="a in b")
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (37, "37"), (1.5, "1500m"), (0.0004, "0"), (1e6, "1000000"), (1e18, str(10**18))]
)
def test_values_are_quantities(value: float, text: str) -> None:
    assert quantity(value) == text
