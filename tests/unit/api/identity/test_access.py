"""A pod answers the callers that its configuration names, in each dialect, and no others."""

import asyncio
import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest

from chatfleet_contract import names
from chatfleet_contract.runtime import RuntimeKeys
from chatfleet_contract.spec import OnRevoke
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

KEY = "sk-chat-0123456789abcdef0123456789abcdef"
OTHER = "sk-chat-fedcba9876543210fedcba9876543210"
WITH_KEY = {"authorization": f"Bearer {KEY}"}
MESSAGE = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {**MESSAGE, "stream": True}


def restricted(folder: Path, provider: FakeProvider | None = None, *, on_revoke: OnRevoke = OnRevoke.FINISH) -> Pod:
    """Return a pod whose callers need a key in `folder`, which stands for the Secret of tenant shop."""
    pod = Pod(provider or FakeProvider(text("a"), [STOP]))
    keys = (RuntimeKeys(tenant="shop", folder=str(folder)),)
    probe_hash = hashlib.sha256(b"probe").hexdigest()
    pod.change("access", anonymous=False, api_keys=keys, on_revoke=on_revoke, probe_hash=probe_hash)
    pod.refresh_keys()
    return pod


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web").write_text(KEY)
    return tmp_path


@pytest.mark.parametrize("header", [f"authorization=Bearer {KEY}", f"x-api-key={KEY}", f"api-key={KEY}"])
async def test_a_key_is_accepted_in_each_header(folder: Path, header: str) -> None:
    name, _, value = header.partition("=")
    asked = await ask(restricted(folder).app, post("/v1/chat/completions", MESSAGE, **{name: value}))

    assert asked.status == 200


@pytest.mark.parametrize(
    "request_",
    [
        get("/v1/models"),
        get("/docs"),
        get("/openapi.json"),
        get("/metrics"),
        get("/health"),
        get("/"),
        get("/nowhere"),
        post("/v1/chat/completions", MESSAGE),
        post("/v1/embeddings", {}),
        post("/v1/responses", {}),
        post("/v1/messages", {}),
        post("/api/v1/conversations", {}),
        Exchange("OPTIONS", "/v1/models"),
        Exchange("HEAD", "/v1/models"),
    ],
    ids=lambda exchange: f"{exchange.scope['method']} {exchange.scope['path']}",
)
@pytest.mark.parametrize("sent", [{}, {"authorization": f"Bearer {OTHER}"}, {"authorization": "Basic eDp5"}])
async def test_all_else_is_refused_alike(folder: Path, request_: Exchange, sent: dict[str, str]) -> None:
    scope = request_.scope
    asked = Exchange(scope["method"], scope["path"], headers=sent, body=b"{}" if scope["method"] == "POST" else b"")
    await ask(restricted(folder).app, asked)
    without = await ask(restricted(folder).app, Exchange(scope["method"], scope["path"]))

    assert asked.status == 401
    assert asked.headers["www-authenticate"] == "Bearer"
    assert asked.headers["x-should-retry"] == "false"
    bodies = [{**json.loads(each.body), "request_id": ""} for each in (asked, without)]
    assert bodies[0] == bodies[1]


async def test_probes_need_no_credential(folder: Path) -> None:
    pod = restricted(folder)
    for path in (names.PATH_LIVE, names.PATH_READY, names.PATH_STARTUP):
        assert (await ask(pod.app, get(path))).status != 401


async def test_a_refusal_has_the_shape_of_its_dialect_and_the_remedy(folder: Path) -> None:
    pod = restricted(folder)
    remedy = "as Authorization: Bearer, x-api-key or api-key."
    openai = (await ask(pod.app, post("/v1/chat/completions", MESSAGE))).json()["error"]
    anthropic = (await ask(pod.app, post("/v1/messages", {}))).json()
    native = (await ask(pod.app, post("/api/v1/conversations", {}))).json()

    assert (openai["type"], openai["code"]) == ("invalid_request_error", "invalid_api_key")
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "authentication_error")
    assert (native["code"], native["retryable"]) == ("unauthenticated", False)
    assert remedy in native["suggested_action"]
    assert all(remedy in each for each in (openai["message"], anthropic["error"]["message"], native["message"]))


async def test_without_callers_the_refusal_names_the_field() -> None:
    pod = Pod(FakeProvider(text("a"), [STOP]))
    pod.change("access", anonymous=False)
    asked = await ask(pod.app, post("/v1/chat/completions", MESSAGE, **WITH_KEY))

    assert asked.status == 401
    assert "names none in spec.access" in asked.json()["error"]["message"]


async def test_the_operators_credential_lists_models_and_nothing_else(folder: Path) -> None:
    pod, probe = restricted(folder), {names.HEADER_PROBE: "probe"}

    assert (await ask(pod.app, get("/v1/models", **probe))).status == 200
    assert (await ask(pod.app, get("/v1/models", **{names.HEADER_PROBE: "guess"}))).status == 401
    assert (await ask(pod.app, get("/api/v1/conversations", **probe))).status == 401
    assert (await ask(pod.app, post("/v1/chat/completions", MESSAGE, **probe))).status == 401


async def test_a_large_body_of_a_stranger_is_not_kept(folder: Path) -> None:
    asked = Exchange("POST", "/v1/chat/completions", body=b"x" * 1_000_000)
    await ask(restricted(folder).app, asked)

    assert asked.status == 401
    assert asked.headers["connection"] == "close"


async def test_keys_are_rotated_with_overlap_and_without_a_restart(folder: Path) -> None:
    pod = restricted(folder)
    (folder / "next").write_text(OTHER)
    pod.refresh_keys()
    both = [await ask(pod.app, get("/v1/models", **{"x-api-key": key})) for key in (KEY, OTHER)]
    (folder / "web").unlink()
    pod.refresh_keys()
    after = [await ask(pod.app, get("/v1/models", **{"x-api-key": key})) for key in (KEY, OTHER)]

    assert [each.status for each in (*both, *after)] == [200, 200, 401, 200]


async def test_a_key_expires(folder: Path) -> None:
    (folder / "web").write_text(json.dumps({"key": KEY, "expires": "2026-01-02T00:00:10Z"}))
    pod = restricted(folder)
    before = await ask(pod.app, get("/v1/models", **WITH_KEY))
    pod.now += timedelta(seconds=10)
    after = await ask(pod.app, get("/v1/models", **WITH_KEY))

    assert [before.status, after.status] == [200, 401]


@pytest.mark.parametrize(("on_revoke", "end"), [(OnRevoke.CUT, b"credential_revoked"), (OnRevoke.FINISH, b"[DONE]")])
async def test_an_open_stream_of_a_revoked_key_ends_as_the_spec_has_it(
    folder: Path, on_revoke: OnRevoke, end: bytes
) -> None:
    pod = restricted(folder, FakeProvider(text("a"), 40.0, [STOP]), on_revoke=on_revoke)
    asked = post("/v1/chat/completions", STREAM, **WITH_KEY)
    async with asking(pod.app, asked) as answering, following(pod):
        await asked.until(b'"content":"a"')
        began = asyncio.get_running_loop().time()
        (folder / "web").unlink()
        await answering
        seconds = asyncio.get_running_loop().time() - began

    assert end in asked.body
    assert asked.body.count(b"credential_revoked") + asked.body.count(b"[DONE]") == 1
    assert (seconds <= 10) is (on_revoke is OnRevoke.CUT)


async def test_an_open_stream_of_a_key_that_expires_is_cut(folder: Path) -> None:
    (folder / "web").write_text(json.dumps({"key": KEY, "expires": "2026-01-02T00:00:10Z"}))
    pod = restricted(folder, FakeProvider(text("a"), 40.0, [STOP]), on_revoke=OnRevoke.CUT)
    asked = post("/v1/chat/completions", STREAM, **WITH_KEY)
    async with asking(pod.app, asked) as answering, following(pod):
        await asked.until(b'"content":"a"')
        pod.now += timedelta(seconds=10)
        await answering

    assert b"credential_revoked" in asked.body


async def test_a_stream_of_another_key_goes_on(folder: Path) -> None:
    (folder / "next").write_text(OTHER)
    pod = restricted(folder, FakeProvider(text("a"), 40.0, [STOP]), on_revoke=OnRevoke.CUT)
    asked = post("/v1/chat/completions", STREAM, authorization=f"Bearer {OTHER}")
    async with asking(pod.app, asked) as answering, following(pod):
        await asked.until(b'"content":"a"')
        (folder / "web").unlink()
        await answering

    assert b"[DONE]" in asked.body


async def test_a_key_that_cannot_be_used_is_in_the_report_without_its_text(folder: Path) -> None:
    (folder / "short").write_text("secret")
    (folder / "twice").write_text(KEY)
    report = restricted(folder).health.report()

    assert report.authenticates
    assert [error.partition(f" of Secret {folder.name}: ")[2] for error in report.access_errors] == [
        "it must have 24 to 512 printable ASCII characters",
        "it is the same as another key; remove one of them",
    ]
    assert not any("secret" in error.lower().replace("of secret", "") for error in report.access_errors)


async def test_an_open_pod_reports_that_it_is_open() -> None:
    assert not Pod(FakeProvider(text("a"), [STOP])).health.report().authenticates


async def test_the_user_is_that_of_the_credential(folder: Path) -> None:
    (folder / "web").write_text(json.dumps({"key": KEY, "user": "ann"}))
    pod, path = restricted(folder), "/api/v1/conversations"
    made = await ask(pod.app, post(path, {}, **WITH_KEY))
    own = await ask(pod.app, post(path, {"user_id": "ann"}, **WITH_KEY))
    other = await ask(pod.app, post(path, {"user_id": "bob"}, **WITH_KEY))
    listed = await ask(pod.app, get(f"{path}?user_id=bob", **WITH_KEY))

    assert [made.json()["user_id"], own.json()["user_id"]] == ["ann", "ann"]
    assert (other.status, other.json()["code"]) == (403, "user_mismatch")
    assert (listed.status, listed.json()["code"]) == (403, "user_mismatch")


class following:  # noqa: N801  # reads as what a test does
    """The pod follows the files of its keys meanwhile."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def __aenter__(self) -> None:
        self._task = asyncio.ensure_future(self._pod.authentication.watch())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
