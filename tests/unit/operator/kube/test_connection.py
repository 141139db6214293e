"""How answers of the API server become our few errors, and names become paths."""

import json
from typing import cast

import pytest
from kubernetes.aio.client.api_client import ApiClient

from chatfleet_contract import names
from chatfleet_operator.kube.connection import LOCATIONS, Conflict, Connection, NotFound, path, translate
from chatfleet_operator.kube.rbac import CLUSTER_RULES, LEASE_RULES, METRICS_RULES, RULES
from chatfleet_operator.model.errors import MAX_MESSAGE, Refused, Retry
from chatfleet_operator.watches import WATCHED


def status(message: str) -> bytes:
    return json.dumps({"kind": "Status", "message": message}).encode()


@pytest.mark.parametrize(
    ("code", "method", "kind"),
    [
        (400, "PATCH", Refused),
        (401, "GET", Retry),
        (403, "GET", Refused),
        (403, "PATCH", Refused),
        (404, "GET", NotFound),
        (409, "PATCH", Conflict),
        (422, "PATCH", Refused),
        (429, "PATCH", Retry),
        (500, "GET", Retry),
        (500, "PATCH", Refused),
        (503, "PATCH", Retry),
        (504, "PATCH", Retry),
    ],
)
def test_every_response_becomes_retry_or_refused(code: int, method: str, kind: type[Exception]) -> None:
    error = translate(code, status("quota exceeded"), method, None)

    assert type(error) is kind
    assert str(error) == "quota exceeded"


@pytest.mark.parametrize("words", ["etcdserver: request timed out", "rpc error: code = Unavailable"])
def test_an_error_of_etcd_is_not_about_the_request(words: str) -> None:
    assert isinstance(translate(500, status(words), "PATCH", None), Retry)


@pytest.mark.parametrize(("header", "after"), [("7", 7.0), (None, 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)])
def test_retry_after_is_the_least_delay(header: str | None, after: float) -> None:
    error = translate(429, status("slow down"), "GET", header)

    assert isinstance(error, Retry)
    assert error.after == after


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "HTTP 503"), (b"<html>\n bad gateway", "<html> bad gateway"), (b"x" * 9999, "x" * (MAX_MESSAGE - 1) + "…")],
)
def test_an_answer_that_is_not_the_api_servers_own_is_shown_in_one_short_line(body: bytes, words: str) -> None:
    assert str(translate(503, body, "PATCH", None)) == words


def test_a_name_that_somebody_has_thought_up_cannot_lead_elsewhere() -> None:
    assert path("Secret", "shop", "../configmaps/x?y") == "/api/v1/namespaces/shop/secrets/..%2Fconfigmaps%2Fx%3Fy"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_is_a_folder_is_refused_and_not_requested(name: str) -> None:
    with pytest.raises(Refused, match=f'^"{name}" is not the name of a Secret; correct the name$'):
        path("Secret", "shop", name)


def test_rights_and_kinds_speak_of_the_same_resources() -> None:
    granted = {rule.resource.split("/")[0] for rule in (*RULES, *CLUSTER_RULES, *LEASE_RULES, *METRICS_RULES)}

    assert granted == {kind.plural for kind in LOCATIONS.values()}


def test_what_is_watched_may_be_watched() -> None:
    watched = {(kind.group, kind.plural) for kind in WATCHED} | {(names.GROUP, names.PLURAL)}

    assert {(rule.group, rule.resource) for rule in RULES if "watch" in rule.verbs} == watched


def test_secrets_are_read_one_by_one() -> None:
    (verbs,) = [rule.verbs for rule in RULES if rule.resource == "secrets"]

    assert not {"list", "watch"} & set(verbs)


class Answered:
    """A client of the API server with one answer."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.status = 200

    async def param_serialize(self, *_: object, **__: object) -> tuple[object, ...]:
        return ()

    async def call_api(self, *_: object, **__: object) -> "Answered":
        return self

    async def read(self) -> bytes:
        return self._body


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"\xff\xfe"])
async def test_an_answer_of_a_proxy_is_tried_again_and_no_fault_of_ours(body: bytes) -> None:
    connection = Connection(cast("ApiClient", Answered(body)), lambda *_: None)
    with pytest.raises(Retry, match="the response is not JSON"):
        await connection.read("Pod", "shop", "a")
