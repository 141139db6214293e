"""The change of a conversation by a merge patch."""

import json
from typing import Any

import pytest

from chatfleet_api.web.dialects.native.patch import MAX_KEYS, MAX_METADATA_BYTES, MEDIA_TYPE, merged
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import FakeProvider

pytestmark = pytest.mark.looptime

BASE = "/api/v1/conversations"


async def begin(pod: Pod, **fields: Any) -> str:  # noqa: ANN401  # any JSON
    return f"{BASE}/{(await ask(pod.app, post(BASE, fields))).json()['id']}"


async def patch(pod: Pod, path: str, body: object, media_type: str = MEDIA_TYPE) -> Exchange:
    headers = {"content-type": media_type}
    return await ask(pod.app, Exchange("PATCH", path, body=json.dumps(body).encode(), headers=headers))


@pytest.mark.parametrize(
    ("value", "change", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_values_are_merged_as_the_examples_of_rfc_7396(value: object, change: object, result: object) -> None:
    assert merged(value, change) == result


@pytest.mark.feature(10, 32)
@pytest.mark.parametrize("media_type", [MEDIA_TYPE, "application/json; charset=utf-8"])
async def test_what_is_left_out_stays_and_null_removes(media_type: str) -> None:
    pod = Pod(FakeProvider())
    path = await begin(pod, user_id="u", title="t", metadata={"a": 1, "b": {"c": 2, "d": 3}})
    before = (await ask(pod.app, get(path))).json()
    changed = await patch(pod, path, {"metadata": {"a": None, "b": {"c": 4}}}, media_type)
    assert changed.status == 200
    assert changed.json()["metadata"] == {"b": {"c": 4, "d": 3}}
    fixed = ("id", "user_id", "title", "created_at")
    assert [changed.json()[field] for field in fixed] == [before[field] for field in fixed]
    assert (await patch(pod, path, {"title": "new"})).json()["title"] == "new"
    emptied = (await patch(pod, path, {"title": None, "metadata": None})).json()
    assert (emptied["title"], emptied["metadata"]) == (None, {})
    assert (await ask(pod.app, get(path))).json() == emptied | {"head": None, "messages": []}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 257}, "title"),
        ({"title": 1}, "title"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {str(number): 1 for number in range(MAX_KEYS)}}, "metadata"),
        ({"metadata": {"a": "x" * MAX_METADATA_BYTES}}, "metadata"),
        ({"user_id": "other"}, "user_id"),
        ([], None),
    ],
)
async def test_a_patch_that_cannot_be_is_refused_by_field_and_changes_nothing(body: object, param: str | None) -> None:
    pod = Pod(FakeProvider())
    path = await begin(pod, title="t", metadata={"known": 1})
    before = (await ask(pod.app, get(path))).json()
    answer = await patch(pod, path, body)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json().get("param") == param
    assert (await ask(pod.app, get(path))).json() == before


async def test_a_patch_is_declared_as_json_and_names_a_conversation_that_is_there() -> None:
    pod = Pod(FakeProvider())
    assert (await patch(pod, await begin(pod), {"title": "t"}, "text/plain")).status == 415
    assert (await patch(pod, f"{BASE}/00000000-0000-7000-8000-999999999999", {"title": "t"})).status == 404
