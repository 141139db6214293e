"""The user of a request is that of its credential, in whichever field a dialect has one; its conversations are its own.

Several users of one tenant share what no user owns: models, limits, the name of the tenant.
"""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from chatfleet_api.domain.principal import Principal
from chatfleet_contract.runtime import RuntimeKeys
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, text

pytestmark = pytest.mark.looptime

HI: Final = [{"role": "user", "content": "Hi"}]
KEYS: Final = {name: f"sk-chat-{name:-<40}" for name in ("ann", "bob", "none", "any")}
REPEATED: Final = {"idempotency-key": "once"}
FIELDS: Final = frozenset({"user", "user_id", "safety_identifier"})


class Place(NamedTuple):
    """Where a request names a user."""

    path: str
    body: dict[str, Any]
    param: str

    def request(self, user: str, caller: str | None) -> Exchange:
        outer, _, inner = self.param.partition(".")
        named: dict[str, Any] = {outer: {inner: user} if inner else user}
        headers = {"anthropic-version": "2026-10-21"} | ({} if caller is None else {"x-api-key": KEYS[caller]})
        return post(self.path, self.body | named, **headers)


CHAT: Final = {"model": "m", "messages": HI}
RESPONSE: Final = {"model": "m", "input": "Hi"}
PLACES: Final = (
    Place("/api/v1/conversations/{conversation_id}/feedback", {"thumb": "up"}, "user_id"),
    Place("/v1/chat/completions", CHAT, "user"),
    Place("/v1/chat/completions", CHAT, "safety_identifier"),
    Place("/v1/messages", CHAT | {"max_tokens": 9}, "metadata.user_id"),
    Place("/v1/responses", RESPONSE, "user"),
    Place("/v1/responses", RESPONSE, "safety_identifier"),
    Place("/v1/responses/input_tokens", RESPONSE, "user"),
    Place("/v1/responses/input_tokens", RESPONSE, "safety_identifier"),
    Place("/v1/embeddings", {"model": "m", "input": "Hi"}, "user"),
    Place("/api/v1/conversations", {}, "user_id"),
    Place("/api/v1/conversations/import", {"format": "chatfleet.conversation.v1"}, "user_id"),
    Place("/chat", {"message": "Hi"}, "user_id"),
    Place("/api/chat/stream", {"message": "Hi"}, "user_id"),
)


@pytest.fixture
async def pod(tmp_path: Path) -> Pod:
    for name, user in {"ann": "ann", "bob": "bob", "none": None, "any": "*"}.items():
        named = {} if user is None else {"user": user}
        (tmp_path / name).write_text(json.dumps({"key": KEYS[name], **named}))
    made = Pod(FakeProvider(text("a"), [STOP]))
    made.change("access", anonymous=False, api_keys=(RuntimeKeys(tenant="shop", folder=str(tmp_path)),))
    made.refresh_keys()
    return made


def code_of(answer: Exchange) -> str:
    body = answer.json()
    error = body.get("error", body) if isinstance(body, dict) else {}
    return str(error.get("code") or error.get("details", {}).get("code") or error.get("type"))


@pytest.mark.feature(40)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.path} {place.param}")
@pytest.mark.parametrize(("caller", "user"), [("ann", "bob"), ("none", "ann"), ("bob", "*"), ("none", " ")])
async def test_another_user_than_that_of_the_credential_is_refused(
    pod: Pod, place: Place, caller: str, user: str
) -> None:
    answer = await ask(pod.app, place.request(user, caller))

    assert answer.status == 403
    assert f"'{place.param}' is not the user of the credential" in answer.body.decode()
    assert code_of(answer) in ("user_mismatch", "permission_error")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.path} {place.param}")
@pytest.mark.parametrize(("caller", "user"), [("ann", "ann"), ("any", "bob"), (None, "bob")])
async def test_the_own_user_is_accepted_and_of_services_and_anonymous_callers_any(
    pod: Pod, place: Place, caller: str | None, user: str
) -> None:
    if caller is None:
        pod.change("access", anonymous=True, api_keys=())
    answer = await ask(pod.app, place.request(user, caller))

    assert answer.status != 403


async def test_every_field_with_a_user_is_in_the_table(pod: Pod) -> None:
    document = (await ask(pod.app, get("/openapi.json", **{"x-api-key": KEYS["none"]}))).json()
    found: set[tuple[str, str]] = set()

    def visit(path: str, schema: Any, within: str) -> None:  # noqa: ANN401  # any JSON value
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if reference:
            schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        for each in [*schema.get("anyOf", ()), *schema.get("allOf", ())]:
            visit(path, each, within)
        for name, inner in schema.get("properties", {}).items():
            if name in FIELDS:
                found.add((path, within + name))
            elif not within and name == "metadata":
                visit(path, inner, f"{name}.")

    for path, methods in document["paths"].items():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                visit(path, content["schema"], "")

    assert found == {(place.path, place.param) for place in PLACES}


@pytest.mark.feature(40)
async def test_a_conversation_belongs_to_the_user_of_its_creator(pod: Pod) -> None:
    ann, bob, none = ({"x-api-key": KEYS[name]} for name in ("ann", "bob", "none"))
    native = (await ask(pod.app, post("/api/v1/conversations", {}, **ann))).json()["id"]
    openai = (await ask(pod.app, post("/v1/conversations", {}, **ann))).json()["id"]
    response = (await ask(pod.app, post("/v1/responses", RESPONSE, **ann))).json()["id"]
    paths = (f"/api/v1/conversations/{native}", f"/v1/conversations/{openai}", f"/v1/responses/{response}")
    seen = {
        name: [(await ask(pod.app, get(path, **caller))).status for path in paths]
        for name, caller in {"ann": ann, "bob": bob, "none": none}.items()
    }

    assert seen == {"ann": [200, 200, 200], "bob": [404, 404, 404], "none": [200, 200, 200]}


async def test_a_user_lists_its_own_conversations_and_a_tenant_all(pod: Pod) -> None:
    path = "/api/v1/conversations"
    made = {
        name: (await ask(pod.app, post(path, {}, **{"x-api-key": KEYS[name]}))).json()["id"]
        for name in ("ann", "bob", "none")
    }
    listed = {
        name: {
            each["id"] for each in (await ask(pod.app, get(path, **{"x-api-key": KEYS[name]}))).json()["conversations"]
        }
        for name in made
    }

    assert listed == {"ann": {made["ann"]}, "bob": {made["bob"]}, "none": set(made.values())}


async def test_a_service_lists_the_conversations_of_a_user(pod: Pod) -> None:
    path, service = "/api/v1/conversations", {"x-api-key": KEYS["any"]}
    made = [(await ask(pod.app, post(path, {"user_id": user}, **service))).json()["id"] for user in ("ann", "cy")]
    listed = (await ask(pod.app, get(f"{path}?user_id=ann", **service))).json()["conversations"]
    own = await ask(pod.app, get(f"{path}/{made[0]}", **{"x-api-key": KEYS["ann"]}))

    assert [each["id"] for each in listed] == made[:1]
    assert own.status == 200


def test_a_user_id_counts_for_callers_without_a_credential() -> None:
    assert Principal().user_of("ann") == "ann"


async def test_two_users_may_use_the_same_idempotency_key(pod: Pod) -> None:
    made = [
        await ask(pod.app, post("/v1/responses", RESPONSE | {"input": name}, **{"x-api-key": KEYS[name]}, **REPEATED))
        for name in ("ann", "bob", "ann")
    ]

    assert [each.status for each in made] == [200, 200, 200]
    assert made[0].json()["id"] == made[2].json()["id"] != made[1].json()["id"]
