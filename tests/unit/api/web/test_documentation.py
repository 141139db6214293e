"""The descriptions that dialects make of their operations, and the schemas that these refer to."""

from typing import Any

import msgspec
import pytest
from fastapi import APIRouter, FastAPI
from typing_extensions import override

from chatfleet_api.web.client import Client
from chatfleet_api.web.documentation import document, fails, returns, takes
from chatfleet_api.web.hot_route import HotEndpoint, HotRoute


class Endpoint(HotEndpoint):
    @override
    async def answer(self, client: Client) -> None:
        raise NotImplementedError


def body(module: str) -> type[msgspec.Struct]:
    return msgspec.defstruct("Body", [("text", str)], module=module)


ONE, OTHER = body("one.bodies"), body("other.bodies")


def documented(*bodies: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the document of an app that takes the first body and returns the last."""
    app = FastAPI()
    router = APIRouter(responses=fails(bodies[-1]))
    router.get("/cold", openapi_extra={"responses": returns(bodies[-1])})(lambda: None)
    app.include_router(router)
    operation = {**takes(bodies[0]), "responses": {**returns(bodies[-1]), **fails(bodies[0])}}
    document(app, [HotRoute("POST", "/hot", endpoint=Endpoint(), operation=operation)], bodies=bodies)
    first = app.openapi()
    assert app.openapi() == first
    return first


def schema(content: dict[str, Any]) -> str:
    return str(content["content"]["application/json"]["schema"]["$ref"].removeprefix("#/components/schemas/"))


def test_two_bodies_of_one_name_have_a_schema_each() -> None:
    whole = documented(ONE, OTHER)
    hot, cold = whole["paths"]["/hot"]["post"], whole["paths"]["/cold"]["get"]
    assert schema(hot["requestBody"]) == schema(hot["responses"]["default"]) == "one.bodies.Body"
    assert schema(hot["responses"]["200"]) == "other.bodies.Body"
    assert schema(cold["responses"]["200"]) == schema(cold["responses"]["default"]) == "other.bodies.Body"
    assert {"one.bodies.Body", "other.bodies.Body"} <= whole["components"]["schemas"].keys()


def test_a_body_whose_name_is_its_own_has_the_name_of_its_class() -> None:
    whole = documented(ONE)
    assert schema(whole["paths"]["/hot"]["post"]["requestBody"]) == "Body"
    assert "Body" in whole["components"]["schemas"]


@pytest.mark.parametrize(
    ("described", "kinds"),
    [
        (returns(dict), {"application/json": {"schema": {"type": "object"}}}),
        (returns(dict, streams=True), {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {}}),
        (returns(None, streams=True), {"text/event-stream": {}}),
    ],
)
def test_an_answer_is_json_or_events_or_either(described: dict[str, Any], kinds: dict[str, Any]) -> None:
    assert described == {"200": {"content": kinds}}
