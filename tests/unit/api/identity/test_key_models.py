"""A key with `models` reaches these alone: no other is listed, and a request for one is answered as for none at all."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from chatfleet_contract.runtime import RuntimeKeys
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, OneModel, text

pytestmark = pytest.mark.looptime

KEYS: Final = {name: f"sk-chat-{name:-<40}" for name in ("some", "all", "gone")}
HI: Final = [{"role": "user", "content": "Hi"}]
ANTHROPIC: Final = {"anthropic-version": "2026-10-21"}
MADE: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"messages": HI},
    "/v1/messages": {"messages": HI, "max_tokens": 9},
    "/v1/messages/count_tokens": {"messages": HI},
    "/v1/responses": {"input": "Hi"},
    "/v1/responses/compact": {"input": "Hi"},
}
"""Requests that name a model, by path."""


@pytest.fixture
async def pod(tmp_path: Path) -> Pod:
    for name, models in {"some": ["n", "o"], "all": None, "gone": ["p"]}.items():
        (tmp_path / name).write_text(json.dumps({"key": KEYS[name]} | ({} if models is None else {"models": models})))
    made = Pod(FakeProvider(text("a"), [STOP]))
    made.change("access", anonymous=False, api_keys=(RuntimeKeys(tenant="shop", folder=str(tmp_path)),))
    made.refresh_keys()
    catalogue = made.chat.catalogue()
    assert isinstance(catalogue, OneModel)
    catalogue.names = ("m", "n")
    return made


async def made(pod: Pod, path: str, model: str, caller: str) -> Exchange:
    return await ask(pod.app, post(path, MADE[path] | {"model": model}, **ANTHROPIC, **{"x-api-key": KEYS[caller]}))


def error_of(answer: Exchange, model: str) -> object:
    body = {key: value for key, value in answer.json().items() if key not in ("request_id", "id")}
    return answer.status, json.dumps(body).replace(f"'{model}'", "<model>")


@pytest.mark.parametrize("path", MADE)
async def test_a_model_that_the_key_does_not_allow_does_not_exist(pod: Pod, path: str) -> None:
    allowed, forbidden, unknown = [await made(pod, path, model, "some") for model in ("n", "m", "x")]

    assert allowed.status == 200
    assert forbidden.status == 404
    assert "does not exist" in forbidden.body.decode()
    assert error_of(forbidden, "m") == error_of(unknown, "x")
    assert (await made(pod, path, "m", "all")).status == 200


async def test_embeddings_need_an_allowed_model(pod: Pod) -> None:
    (model, *_) = pod.configuration.live_catalogue().models()
    answers = {
        caller: await ask(
            pod.app, post("/v1/embeddings", {"model": model, "input": "a"}, **{"x-api-key": KEYS[caller]})
        )
        for caller in ("some", "all")
    }

    assert answers["some"].json()["error"]["code"] == "model_not_found"
    assert answers["all"].json()["error"]["code"] != "model_not_found"


@pytest.mark.parametrize(("caller", "names"), [("some", ["n"]), ("all", ["m", "n"]), ("gone", [])])
async def test_only_allowed_models_are_listed(pod: Pod, caller: str, names: list[str]) -> None:
    key = {"x-api-key": KEYS[caller]}
    for headers in ({}, ANTHROPIC):
        listed = (await ask(pod.app, get("/v1/models", **key, **headers))).json()["data"]
        found = [name for name in ("m", "n", "x") if await status(pod, f"/v1/models/{name}", **key, **headers) == 200]
        assert [each["id"] for each in listed] == names == found


async def status(pod: Pod, path: str, **headers: str) -> int:
    return (await ask(pod.app, get(path, **headers))).status


@pytest.mark.parametrize(
    ("caller", "named", "expected"),
    [("some", None, "n"), ("some", "n", "n"), ("some", "m", None), ("all", None, "m"), ("gone", None, None)],
)
async def test_a_message_gets_the_first_model_that_the_key_allows(
    pod: Pod, caller: str, named: str | None, expected: str | None
) -> None:
    key = {"x-api-key": KEYS[caller]}
    conversation = (await ask(pod.app, post("/api/v1/conversations", {}, **key))).json()["id"]
    body = {"content": "Hi"} | ({} if named is None else {"model": named})
    answer = await ask(pod.app, post(f"/api/v1/conversations/{conversation}/messages", body, **key))

    if expected is None:
        assert (answer.status, answer.json()["code"]) == (404, "model_not_found")
    else:
        assert answer.json()["message"]["model"] == expected
