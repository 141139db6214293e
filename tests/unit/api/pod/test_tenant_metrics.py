"""Tenants and API keys in metrics: bounded, the most used ones by name, and for no tenant to read."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import generate_latest

from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Grant, Principal
from chatfleet_api.pod.probes import health_routes
from chatfleet_api.pod.tenant_metrics import (
    FADING,
    MOST_KEYS,
    MOST_TENANTS,
    OTHER,
    KeyUse,
    TenantMetrics,
    TopLabels,
    key_uses,
    newest,
)
from chatfleet_api.web.app import create_app
from chatfleet_contract import metrics
from chatfleet_contract.runtime import RuntimeKeys
from harness.clients.asgi import ask, get
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

AT: Final = datetime(2026, 1, 2, tzinfo=UTC)
PATHS: Final = ("/health", "/health/detailed")
KEY: Final = "sk-chat-0123456789abcdef0123456789abcdef"


def series(exported: bytes, name: str) -> dict[str, float]:
    """Return the values of a metric by their labels."""
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", exported.decode(), re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_the_most_used_have_series_of_their_own_and_the_rest_share_one() -> None:
    measured = TenantMetrics()
    for number in range(10 * MOST_TENANTS):
        measured.asked(f"t{number}")
        measured.used(f"t{number}", Usage(input_tokens=2, output_tokens=3))
    exported = generate_latest(measured.registry)
    requests = series(exported, metrics.TENANT_REQUESTS_TOTAL)
    tokens = series(exported, metrics.TENANT_TOKENS_TOTAL)

    assert len(requests) == MOST_TENANTS + 1
    assert len(tokens) == 2 * (MOST_TENANTS + 1)
    assert sum(requests.values()) == 10 * MOST_TENANTS
    assert requests[f'tenant="{OTHER}"'] == 9 * MOST_TENANTS
    assert sum(tokens.values()) == 10 * MOST_TENANTS * 5


def test_a_tenant_that_is_used_far_more_gets_the_series_of_the_least_used() -> None:
    left: list[str] = []
    labels = TopLabels(2, left.append)
    for value in ("a", "a", "a", "b", "b"):
        labels.label(value)

    assert [labels.label("c") for _ in range(4)] == [OTHER, OTHER, OTHER, "c"]
    assert left == ["b"]
    assert [labels.label(value) for value in ("a", "b")] == ["a", OTHER]


def test_what_was_used_long_ago_counts_less() -> None:
    labels = TopLabels(1, lambda _: None)
    for _ in range(FADING * 3 // 4):
        labels.label("old")
    seen = [labels.label("new") for _ in range(FADING)]

    assert seen[0] == OTHER
    assert seen[-1] == "new"


def test_tables_stay_small_whatever_tenants_there_are() -> None:
    labels = TopLabels(2, lambda _: None)
    for number in range(5 * FADING):
        labels.label(f"t{number}")

    assert len(labels) <= FADING + 2


def test_keys_that_were_used_last_are_exported() -> None:
    uses = [KeyUse("shop", f"k{number}", AT + timedelta(seconds=number)) for number in range(3 * MOST_KEYS)]
    again = KeyUse("shop", f"k{3 * MOST_KEYS - 1}", AT)

    assert newest(iter([*uses, again])) == uses[: -MOST_KEYS - 1 : -1]


def test_a_key_that_was_not_used_has_no_series() -> None:
    used, unused = Grant(), Grant()
    used.used = AT
    principals = [Principal("shop", "key:web", grant=used), Principal("shop", "key:old", grant=unused), Principal("x")]

    assert list(key_uses(principals)) == [KeyUse("shop", "web", AT)]


@pytest.mark.looptime
async def test_metrics_of_tenants_are_on_the_health_port_alone(tmp_path: Path) -> None:
    (tmp_path / "web").write_text(json.dumps({"key": KEY, "tenant": "acme"}))
    pod = Pod(FakeProvider(text("a"), [STOP]))
    pod.change("access", anonymous=False, api_keys=(RuntimeKeys(tenant="shop", folder=str(tmp_path)),))
    pod.refresh_keys()
    pod.meter.tenants.keys(lambda: key_uses(pod.authentication.principals()))
    health_port = create_app(pod.services, routers=[health_routes(pod.health, pod.meter, tenants=True)])
    key = {"x-api-key": KEY}
    await ask(pod.app, get("/v1/models", **key))
    await ask(pod.app, get("/v1/models"))
    public = await ask(pod.app, get("/metrics", **key))
    private = await ask(health_port, get("/metrics", **key))
    named = await ask(pod.app, get(f"/metrics?name[]={metrics.TENANT_REQUESTS_TOTAL}", **key))

    assert b"acme" not in public.body
    assert named.body == b""
    assert series(private.body, metrics.TENANT_REQUESTS_TOTAL) == {'tenant="acme"': 2}
    (tmp_path / "ruined").write_text("short")
    pod.refresh_keys()
    reports = [await ask(app, get(path, **key)) for app in (pod.app, health_port) for path in PATHS]
    assert [b"ruined" in report.body for report in reports] == [False, False, True, True]
    assert series(private.body, metrics.API_KEY_LAST_USED) == {'key="web",tenant="acme"': pod.now.timestamp()}
