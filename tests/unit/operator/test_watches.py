"""Kopf only watches: what it is asked, and what wakes whom."""

from collections.abc import Callable, Iterable, Sized
from dataclasses import replace
from itertools import islice
from typing import Any

import kopf
import pytest
from pydantic import SecretStr

from chatfleet_contract import names
from chatfleet_operator.children.kinds import HORIZONTAL_POD_AUTOSCALER
from chatfleet_operator.kube import Access
from chatfleet_operator.model.values import Ref
from chatfleet_operator.watches import WATCHED, connection_info, kopf_settings, owner_of, register

ACCESS = Access("https://192.0.2.1:6443", "/ca.crt", None, None, None, SecretStr("token"), insecure=False)


async def log_in() -> Access:
    return ACCESS


def child(**metadata: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {"kind": "Service", "metadata": {"name": "x", "namespace": "shop", **metadata}}


OWNER = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "support", "uid": "1"}
LABELS = {names.LABEL_DEPLOYMENT: "labelled"}


@pytest.mark.parametrize(
    ("body", "ref"),
    [
        ({"kind": names.KIND, "metadata": {"name": "support", "namespace": "shop"}}, Ref("shop", "support")),
        (child(ownerReferences=[OWNER], labels=LABELS), Ref("shop", "support")),
        (child(labels=LABELS), Ref("shop", "labelled")),
        (child(ownerReferences=[{**OWNER, "kind": "ReplicaSet"}], labels=LABELS), Ref("shop", "labelled")),
        (child(ownerReferences=[{**OWNER, "apiVersion": "other.io/v1"}]), None),
        (child(), None),
        (child(labels=None, ownerReferences=None), None),
    ],
)
def test_an_event_enqueues_the_owner_of_its_object(body: dict[str, Any], ref: Ref | None) -> None:
    assert owner_of(body) == ref


def registered() -> tuple[kopf.OperatorRegistry, list[Ref]]:
    registry, enqueued = kopf.OperatorRegistry(), list[Ref]()
    register(registry, enqueued.append, log_in)
    return registry, enqueued


def handlers(registry: kopf.OperatorRegistry, part: str) -> list[Any]:
    """Return the handlers of one of kopf's kinds; kopf has no public way to ask."""
    found: Callable[[], Any] = getattr(registry, part).get_all_handlers
    return list(found())


async def test_every_event_handler_only_enqueues() -> None:
    registry, enqueued = registered()
    watching = handlers(registry, "_watching")
    for handler in watching:
        await handler.fn(body=child(labels=LABELS), type="DELETED", logger=None, memo=kopf.Memo())

    assert enqueued == [Ref("shop", "labelled")] * len(watching)
    assert {handler.selector.plural or handler.selector.any_name for handler in watching} == {
        names.PLURAL,
        *(kind.plural for kind in WATCHED),
    }


async def test_a_written_status_enqueues_nothing_and_any_other_change_does() -> None:
    registry, enqueued = registered()
    (handler,) = (each for each in handlers(registry, "_watching") if each.id == "resource")
    memo = kopf.Memo()
    metadata = {"name": "support", "namespace": "shop", "uid": "1", "generation": 1, "resourceVersion": "1"}
    first = {"kind": names.KIND, "metadata": metadata, "spec": {"replicas": 2}, "status": {"activeStreams": 1}}

    async def hear(kind: str = "MODIFIED", **changed: Any) -> int:  # noqa: ANN401  # JSON
        before = len(enqueued)
        status = {"activeStreams": len(enqueued)}
        body = {**first, "metadata": {**metadata, "resourceVersion": "2", **changed}, "status": status}
        await handler.fn(body=body, type=kind, logger=None, memo=memo)
        return len(enqueued) - before

    assert await hear("ADDED") == 1
    assert await hear() == 0
    assert await hear(generation=2) == 1
    assert await hear(generation=2, annotations={"x": "y"}) == 1
    assert await hear("DELETED", generation=2, annotations={"x": "y"}) == 1


async def test_new_metrics_of_an_autoscaler_enqueue_nothing_and_any_other_change_does() -> None:
    registry, enqueued = registered()
    plural = HORIZONTAL_POD_AUTOSCALER.plural
    (handler,) = (each for each in handlers(registry, "_watching") if each.id == plural)
    memo = kopf.Memo()
    able = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "ok"}
    first = {**child(labels=LABELS), "spec": {"maxReplicas": 9}, "status": {"conditions": [able], "currentMetrics": []}}
    dead = {**able, "status": "False", "reason": "FailedGetPodsMetric"}

    async def hear(body: dict[str, Any], kind: str = "MODIFIED") -> int:
        before = len(enqueued)
        await handler.fn(body=body, type=kind, logger=None, memo=memo)
        return len(enqueued) - before

    assert await hear(first, "ADDED") == 1
    assert await hear({**first, "status": {**first["status"], "currentMetrics": [{"type": "Pods"}]}}) == 0
    assert await hear({**first, "status": {**first["status"], "conditions": [dead]}}) == 1
    assert await hear({**first, "spec": {"maxReplicas": 99}}) == 1
    assert await hear({**first, "spec": {"maxReplicas": 99}}, "DELETED") == 1


@pytest.mark.parametrize("part", ["_changing", "_spawning", "_indexing", "_webhooks"])
def test_no_handler_writes_finalizers_or_annotations(part: str) -> None:
    registry, _ = registered()

    assert handlers(registry, part) == []


def test_secrets_are_never_watched() -> None:
    assert "secrets" not in {kind.plural for kind in WATCHED}


def test_kopf_has_every_setting_that_we_rely_on() -> None:
    settings = kopf_settings()

    assert settings.posting.enabled is False
    assert settings.peering.standalone is True
    assert settings.scanning.disabled is True
    assert settings.queueing.worker_limit is None
    assert settings.networking.request_timeout == 10
    assert settings.watching.inactivity_timeout == 70
    assert settings.watching.server_timeout == 300
    assert settings.watching.client_timeout == 330
    assert max(settings.queueing.error_delays) == 30
    assert len(settings.watching.label_selectors) == len(WATCHED)
    assert set(settings.watching.label_selectors.values()) == {names.LABEL_DEPLOYMENT}


async def test_kopf_reaches_the_cluster_as_we_do() -> None:
    info = connection_info(await log_in())

    assert (info.server, info.ca_path, info.scheme, info.token) == (ACCESS.server, "/ca.crt", "Bearer", "token")
    assert connection_info(Access("https://x", None, None, "/crt", "/key", None, insecure=False)).scheme is None


def test_no_representation_shows_the_token() -> None:
    assert "hidden" not in repr(replace(ACCESS, token=SecretStr("hidden")))


def test_watches_are_tried_again_without_an_end_and_at_least_every_eight_seconds() -> None:
    backoffs = kopf_settings().networking.error_backoffs
    assert isinstance(backoffs, Iterable)
    assert not isinstance(backoffs, Sized), "kopf gives up at the end of a list"
    for _ in range(2):  # each request begins anew
        assert max(islice(backoffs, 1000)) == 8
