"""The admin port answers those whom the configuration names, discloses no secret, and changes what it promises."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from chatfleet_api.admin.masking import MASK, masked
from chatfleet_api.domain.principal import Principal
from chatfleet_api.identity.administrators import is_administrator
from chatfleet_api.pod.logs import set_up_logs
from chatfleet_contract.spec import LogLevel
from chatfleet_contract.spec.administrators import Administrator, AdministratorKind
from harness.clients.asgi import JSON, Exchange, ask, asking, get, post
from harness.pods.administered import ADMINISTRATOR, AS_OPS, AS_WEB, OPS, WEB, administer
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

STREAM = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
CANARIES = ("canary-userinfo", "canary-query", "canary-hash", "canary-token")
API_KEY, ACCOUNT, USER = AdministratorKind.API_KEY, AdministratorKind.SERVICE_ACCOUNT, AdministratorKind.USER


def put(path: str, body: object, **headers: str) -> Exchange:
    return Exchange("PUT", path, body=json.dumps(body).encode(), headers={**JSON, **headers})


def lasting() -> Pod:
    return Pod(FakeProvider(text("a"), 100.0, [STOP]))


@pytest.fixture
def levels() -> Iterator[None]:
    """Restore the handlers and the level of the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("path", ["/admin/runs", "/admin/configuration", "/admin/nothing", "/live"])
async def test_only_administrators_are_answered(tmp_path: Path, path: str) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    unknown, other, known = [await ask(app, get(path, **headers)) for headers in ({}, AS_WEB, AS_OPS)]

    refusals = {(each.status, each.json().get("code"), each.json().get("retryable")) for each in (unknown, other)}
    if path == "/live":  # as open as on other ports, and not there
        assert {unknown.status, other.status, known.status} == {404}
        return
    assert refusals == {(401, "unauthenticated", False), (403, "permission_denied", False)}
    assert "spec.access.admin" in other.json()["message"]
    assert known.status == (200 if path in {"/admin/runs", "/admin/configuration"} else 404)


async def test_who_is_named_is_followed_at_once(tmp_path: Path) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    assert (await ask(app, get("/admin/runs", **AS_OPS))).status == 200
    pod.change("access", admin=())
    assert (await ask(app, get("/admin/runs", **AS_OPS))).status == 403
    pod.change("access", anonymous=True, admin=(ADMINISTRATOR,))
    assert (await ask(app, get("/admin/runs", **AS_OPS))).status == 403


async def test_the_serving_port_has_no_admin_routes(tmp_path: Path) -> None:
    pod = lasting()
    administer(pod, tmp_path)
    names = ("runs", "configuration", "log-level", "keys", "sessions?tenant=shop", "usage")
    paths = [f"/admin/{name}" for name in names]
    assert {(await ask(pod.app, get(path, **AS_OPS))).status for path in paths} == {404}


@pytest.mark.parametrize(
    ("caller", "named", "expected"),
    [
        (Principal("a", subject="key:ops", secret="keys"), (API_KEY, "keys", "ops"), True),
        (Principal("a", subject="key:ops", secret="other"), (API_KEY, "keys", "ops"), False),
        (Principal("a", subject="key:ops"), (API_KEY, "keys", "ops"), False),
        (Principal("a", subject="serviceaccount:ops:sre"), (ACCOUNT, "ops", "sre"), True),
        (Principal("a", subject="serviceaccount:ops:web"), (ACCOUNT, "ops", "sre"), False),
        (Principal("a", subject="serviceaccount:ops:*"), (ACCOUNT, "ops", "sre"), False),
        (Principal("a", subject="jwt:https://i", user="ann"), (USER, "https://i", "ann"), True),
        (Principal("a", subject="jwt:https://i", user="bob"), (USER, "https://i", "ann"), False),
        (Principal("a", subject="jwt:https://j", user="ann"), (USER, "https://i", "ann"), False),
        (Principal("a"), (USER, "https://i", "ann"), False),
    ],
)
def test_an_administrator_is_one_credential(
    caller: Principal,
    named: tuple[AdministratorKind, str, str],
    expected: bool,  # noqa: FBT001  # a parameter
) -> None:
    kind, source, name = named
    assert is_administrator(caller, [Administrator(kind=kind, source=source, name=name)]) is expected
    assert not is_administrator(caller, [])


def test_what_may_be_a_secret_is_masked_at_any_depth() -> None:
    shown = masked(
        {
            "proxyURL": "http://me:canary-userinfo@proxy:3128/p",
            "list": [{"url": "https://u/v?key=canary-query&sig=canary-query#f"}],
            "probeHash": "canary-hash",
            "nested": {"accessToken": "canary-token", "tokenFile": "/etc/token", "maxTokens": 3},
            "words": "Ask at me@example.com?x=y",
        }
    )
    assert shown == {
        "proxyURL": f"http://{MASK}@proxy:3128/p",
        "list": [{"url": f"https://u/v?key={MASK}&sig={MASK}#f"}],
        "probeHash": MASK,
        "nested": {"accessToken": MASK, "tokenFile": "/etc/token", "maxTokens": 3},
        "words": "Ask at me@example.com?x=y",
    }
    assert not [canary for canary in CANARIES if canary in json.dumps(shown)]


async def test_the_configuration_in_force_is_shown_without_secrets(tmp_path: Path) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    pod.change("observability", otlp_endpoint="http://me:canary-userinfo@otel.example.com:4318")
    pod.change("access", probe_hash="canary-hash")
    answer = await ask(app, get("/admin/configuration", **AS_OPS))

    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["pod"] == "pod-1"
    assert answer.json()["digest"] == pod.configuration.digest
    assert answer.json()["configuration"]["observability"]["otlpEndpoint"] == "http://***@otel.example.com:4318"
    assert answer.json()["configuration"]["access"]["admin"] == [ADMINISTRATOR.document()]
    keys = await ask(app, get("/admin/keys", **AS_OPS))
    assert not [secret for secret in (*CANARIES, OPS, WEB) if secret.encode() in answer.body + keys.body]


@pytest.mark.usefixtures("levels")
async def test_the_log_level_holds_until_the_configuration_changes(tmp_path: Path) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    set_up_logs(pod.configuration.current.observability)
    changed = await ask(app, put("/admin/log-level", {"level": "debug"}, **AS_OPS))

    assert changed.json() == {"pod": "pod-1", "level": "debug", "configured": "info"}
    assert logging.getLogger("chatfleet_api").isEnabledFor(logging.DEBUG)
    set_up_logs(pod.configuration.current.observability)
    assert (await ask(app, get("/admin/log-level", **AS_OPS))).json()["level"] == LogLevel.INFO
    wrong = await ask(app, put("/admin/log-level", {"level": "loud"}, **AS_OPS))
    assert (wrong.status, wrong.json()["code"]) == (400, "invalid_request")


async def test_keys_are_listed_with_their_last_use(tmp_path: Path) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    before = (await ask(app, get("/admin/keys", **AS_OPS))).json()["data"]
    await ask(pod.app, get("/v1/models", **AS_WEB))
    after = (await ask(app, get("/admin/keys", **AS_OPS))).json()["data"]

    named = [{name: key[name] for name in ("secret", "key", "tenant")} for key in before]
    assert named == [
        {"secret": "chat-keys", "key": "web", "tenant": "shop"},
        {"secret": "ops-keys", "key": "ops", "tenant": "ops"},
    ]
    assert [key["last_used"] is None for key in before] == [True, False]
    assert after[0]["last_used"] == "2026-01-02T00:00:00Z"


@pytest.mark.feature(15, 45)
async def test_runs_of_all_tenants_are_listed_and_cancelled(tmp_path: Path) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    of_shop, of_ops = (post("/v1/chat/completions", STREAM, **headers) for headers in (AS_WEB, AS_OPS))
    async with asking(pod.app, of_shop) as shop, asking(pod.app, of_ops) as ops:
        for asked in (of_shop, of_ops):
            await asked.until(b'"content":"a"')
        listed = (await ask(app, get("/admin/runs", **AS_OPS))).json()
        assert {run["tenant"] for run in listed["data"]} == {"shop", "ops"}
        assert (listed["total"], listed["whole"]) == (2, True)
        (run,) = (await ask(app, get("/admin/runs?tenant=shop", **AS_OPS))).json()["data"]
        assert (run["pod"], run["takeovers"], run["retrievable"]) == ("pod-1", 0, False)
        assert (await ask(app, post(f"/admin/runs/{run['id']}/cancel", {}, **AS_WEB))).status == 403
        assert (await ask(app, get("/admin/runs", **AS_OPS))).json()["total"] == 2

        cancelled = await ask(app, post(f"/admin/runs/{run['id']}/cancel", {}, **AS_OPS))
        assert (cancelled.status, cancelled.json()["tenant"]) == (202, "shop")
        await shop
        assert b"cancelled" in of_shop.body
        again = await ask(app, post(f"/admin/runs/{run['id']}/cancel", {}, **AS_OPS))
        assert (again.status, again.json()["code"]) == (404, "not_found")
        assert [each["tenant"] for each in (await ask(app, get("/admin/runs", **AS_OPS))).json()["data"]] == ["ops"]
        await ops
    assert b"cancelled" not in of_ops.body


@pytest.mark.feature(15, 36)
async def test_sessions_of_a_tenant_are_shown_without_content_and_cleaned_by_age(tmp_path: Path) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    new = {"title": "canary-title", "metadata": {"k": "canary-metadata"}, "user_id": "ann"}
    (tmp_path / "chat-keys" / "web").write_text(json.dumps({"key": WEB, "user": "*"}))
    pod.refresh_keys()
    made = (await ask(pod.app, post("/api/v1/conversations", new, **AS_WEB))).json()["id"]
    path = f"/admin/sessions/{made}?tenant=shop"

    listed = await ask(app, get("/admin/sessions?tenant=shop", **AS_OPS))
    (session,) = listed.json()["data"]
    assert (session["id"], session["tenant"], session["user_id"]) == (made, "shop", "ann")
    one = await ask(app, get(path, **AS_OPS))
    assert (one.json()["status"], one.json()["messages"]) == ("paused", 0)
    assert b"canary" not in listed.body + one.body
    assert (await ask(app, get("/admin/sessions?tenant=ops", **AS_OPS))).json()["data"] == []
    assert (await ask(app, get(f"/admin/sessions/{made}?tenant=ops", **AS_OPS))).status == 404
    assert (await ask(app, get("/admin/sessions", **AS_OPS))).status == 400

    await ask(pod.app, post(f"/api/v1/conversations/{made}/messages", {"content": "Hi", "model": "m"}, **AS_WEB))
    assert (await ask(app, get(path, **AS_OPS))).json()["status"] == "completed"
    pod.now += timedelta(days=2)
    for tenant, age, deleted in (("ops", "P1D", 0), ("shop", "P3650D", 0), ("shop", "P1D", 1)):
        asked = Exchange("DELETE", f"/admin/sessions?tenant={tenant}&older_than={age}", headers=AS_OPS)
        cleaned = (await ask(app, asked)).json()
        assert (cleaned["deleted"], cleaned["more"]) == (deleted, False), (tenant, age)
    assert (await ask(app, get(path, **AS_OPS))).status == 404
    refused = [
        await ask(app, Exchange("DELETE", f"/admin/sessions?{query}", headers=AS_OPS))
        for query in ("tenant=shop", "older_than=P1D", "tenant=shop&older_than=0", "tenant=shop&older_than=soon")
    ]
    assert {each.status for each in refused} == {400}


async def test_usage_is_that_of_all_tenants_or_of_one(tmp_path: Path) -> None:
    pod = lasting()
    app = administer(pod, tmp_path)
    for headers in (AS_WEB, AS_WEB, AS_OPS):
        await ask(pod.app, post("/v1/chat/completions", {**STREAM, "stream": False}, **headers))
    day = "from=2026-01-02&to=2026-01-02"

    def requests(answer: Exchange) -> list[tuple[str, int]]:
        return [(each["day"], each["requests"]) for each in answer.json()["data"]]

    assert requests(await ask(app, get(f"/admin/usage?{day}", **AS_OPS))) == [("2026-01-02", 3)]
    assert requests(await ask(app, get(f"/admin/usage?{day}&tenant=shop", **AS_OPS))) == [("2026-01-02", 2)]
    by_key = await ask(app, get(f"/admin/usage?{day}&tenant=shop&group_by=key", **AS_OPS))
    assert [(each["key"], each["requests"]) for each in by_key.json()["data"]] == [("key:web", 2)]
    assert (await ask(app, get("/admin/usage?from=2025-01-01&to=2026-01-02", **AS_OPS))).status == 400
