"""Authentication and authorization with real certificates and scripted reviews."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from chatfleet_cluster.certificates import Authority, Identity
from chatfleet_metrics.apiserver.authentication import (
    Credentials,
    TokenAuthenticator,
    Trust,
    authenticate_certificate,
    read_trust,
)
from chatfleet_metrics.apiserver.authorization import (
    ALLOWED_SECONDS,
    DENIED_SECONDS,
    Authorization,
    subject_access_review,
)
from chatfleet_metrics.apiserver.ttl_cache import ENTRIES, TTLCache
from chatfleet_metrics.apiserver.users import AUTHENTICATED, ResourceAttributes, User, request_attributes

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
PROXY, CLIENTS = Authority.create("same-name", NOW), Authority.create("same-name", NOW)
"""They bear the same name, so that only their signatures tell them apart."""


def pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(serialization.Encoding.PEM).decode()


def trust(**changes: str) -> Trust:
    data = {
        "client-ca-file": pem(CLIENTS),
        "requestheader-client-ca-file": pem(PROXY),
        "requestheader-allowed-names": '["front-proxy"]',
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    }
    return read_trust({"data": {**data, **changes}})


def certificate(authority: Authority, user: str = "front-proxy", group: str = "") -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.issue(Identity(user, group), NOW)[0])


ANN = (("X-Remote-User", "ann"), ("X-Remote-Group", "devs"), ("x-remote-group", "ops"), ("X-Remote-Extra-A%2fB", "c"))


def test_the_proxy_speaks_for_users() -> None:
    groups = frozenset({"devs", "ops", AUTHENTICATED})
    assert authenticate_certificate(trust(), Credentials(certificate(PROXY), ANN), NOW) == User(
        "ann", groups, (("a/b", ("c",)),)
    )


@pytest.mark.parametrize(
    ("shown", "headers"),
    [
        pytest.param(None, ANN, id="headers alone"),
        pytest.param(certificate(PROXY, "somebody"), ANN, id="another name of the proxy's authority"),
        pytest.param(certificate(Authority.create("same-name", NOW)), ANN, id="an authority of the same name"),
        pytest.param(certificate(PROXY), (), id="the proxy for nobody"),
        pytest.param(certificate(PROXY), (("X-Remote-User", ""),), id="the proxy for an empty name"),
    ],
)
def test_nobody_else_does(shown: x509.Certificate | None, headers: tuple[tuple[str, str], ...]) -> None:
    assert authenticate_certificate(trust(), Credentials(shown, headers), NOW) is None


def test_a_client_is_who_its_certificate_says_whatever_its_headers_say() -> None:
    shown = certificate(CLIENTS, "front-proxy", "devs")
    expected = User("front-proxy", frozenset({"devs", AUTHENTICATED}))
    assert authenticate_certificate(trust(), Credentials(shown, ANN), NOW) == expected


@pytest.mark.parametrize("moment", [NOW - timedelta(days=1), NOW + timedelta(days=366)])
@pytest.mark.parametrize("authority", [PROXY, CLIENTS])
def test_a_certificate_counts_in_its_time_only(authority: Authority, moment: datetime) -> None:
    assert authenticate_certificate(trust(), Credentials(certificate(authority), ANN), moment) is None


def extended(authority: Authority, days: int) -> str:
    """Return the certificate of `authority` in PEM with the same key for another time, as when it is renewed."""
    known = authority.certificate
    builder = x509.CertificateBuilder(known.issuer, known.subject, known.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=9)).not_valid_after(NOW + timedelta(days=days))
    made = builder.sign(authority.key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_an_authority_that_was_renewed_counts_beside_the_one_whose_time_is_over() -> None:
    over, renewed = extended(PROXY, -1), extended(PROXY, 9)
    shown = Credentials(certificate(PROXY), ANN)
    for bundle in (over + renewed, renewed + over):
        assert authenticate_certificate(trust(**{"requestheader-client-ca-file": bundle}), shown, NOW) is not None
    assert authenticate_certificate(trust(**{"requestheader-client-ca-file": over}), shown, NOW) is None


def test_no_names_mean_any_name_and_no_authority_means_nobody() -> None:
    anyone = trust(**{"requestheader-allowed-names": "[]"})
    assert authenticate_certificate(anyone, Credentials(certificate(PROXY, "x"), ANN), NOW) is not None
    nobody = trust(**{"requestheader-client-ca-file": "", "client-ca-file": ""})
    assert authenticate_certificate(nobody, Credentials(certificate(PROXY), ANN), NOW) is None


def test_an_invalid_config_is_an_error() -> None:
    for changes in ({"client-ca-file": "nonsense"}, {"requestheader-allowed-names": "nonsense"}):
        with pytest.raises(ValueError, match=r"."):
            trust(**changes)


class Reviews:
    """An API server with a scripted status, which records the reviews."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.status = status
        self.asked: list[dict[str, Any]] = []

    async def write(self, method: str, kind: str, namespace: str, *, body: dict[str, Any]) -> dict[str, Any]:
        assert (method, kind, namespace) == ("POST", body["kind"], "")
        self.asked.append(body["spec"])
        return {"status": self.status}


class Clock:
    """Time that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


BEARER = (("Authorization", "Bearer secret"),)
KNOWN = {"authenticated": True, "user": {"username": "bob", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}}}


async def test_a_token_is_reviewed_by_the_api_server_and_cached() -> None:
    reviews, clock = Reviews(KNOWN), Clock()
    tokens = TokenAuthenticator(reviews, TTLCache(clock))
    bob = User("bob", frozenset({"g", AUTHENTICATED}), (("k", ("v",)),), "7")
    assert [await tokens.authenticate(BEARER) for _ in range(3)] == [bob] * 3
    assert reviews.asked == [{"token": "secret"}]
    clock.now = 11
    reviews.status = {}
    assert await tokens.authenticate(BEARER) is None
    reviews.status = {"authenticated": False, **{k: v for k, v in KNOWN.items() if k == "user"}}
    assert await tokens.authenticate(BEARER) is None


@pytest.mark.parametrize("headers", [(), (("Authorization", "Basic secret"),), BEARER * 2])
async def test_without_one_token_there_is_no_review(headers: tuple[tuple[str, str], ...]) -> None:
    reviews = Reviews(KNOWN)
    assert await TokenAuthenticator(reviews, TTLCache(Clock())).authenticate(headers) is None
    assert not reviews.asked


ALL_PODS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop/pods/*/chatfleet_active_streams"


@pytest.mark.parametrize(
    ("path", "attributes"),
    [
        (
            ALL_PODS,
            {
                "resourceAttributes": {
                    "verb": "get",
                    "group": "custom.metrics.k8s.io",
                    "version": "v1beta2",
                    "namespace": "shop",
                    "resource": "pods",
                    "subresource": "chatfleet_active_streams",
                    "name": "*",
                }
            },
        ),
        ("/apis/custom.metrics.k8s.io/v1beta2", {"nonResourceAttributes": {"path": None, "verb": "get"}}),
        ("/openapi/v2", {"nonResourceAttributes": {"path": None, "verb": "get"}}),
        (
            "/apis/g/v/nodes/n",
            {"resourceAttributes": {"verb": "get", "group": "g", "version": "v", "resource": "nodes", "name": "n"}},
        ),
    ],
)
def test_a_path_is_reviewed_as_the_api_server_parses_it(path: str, attributes: dict[str, Any]) -> None:
    expected = json.loads(json.dumps(attributes).replace("null", json.dumps(path)))
    spec = subject_access_review(User("ann", frozenset({"b", "a"}), (("k", ("v",)),), "7"), request_attributes(path))[
        "spec"
    ]
    assert spec == {"user": "ann", "groups": ["a", "b"], "uid": "7", "extra": {"k": ["v"]}, **expected}


@pytest.mark.parametrize(
    ("status", "allowed", "seconds"),
    [({"allowed": True}, True, ALLOWED_SECONDS), ({"allowed": False}, False, DENIED_SECONDS), ({}, False, 5.0)],
)
async def test_a_decision_holds_for_a_while(status: dict[str, Any], seconds: float, *, allowed: bool) -> None:
    reviews, clock = Reviews(status), Clock()
    authorization = Authorization(reviews, TTLCache(clock))
    for clock.now in (0.0, seconds - 0.1):
        assert await authorization.allows(User("ann"), request_attributes(ALL_PODS)) is allowed
    assert len(reviews.asked) == 1
    assert await authorization.allows(User("bob"), request_attributes(ALL_PODS)) is allowed
    assert await authorization.allows(User("ann"), ResourceAttributes("/apis")) is allowed
    clock.now = seconds
    await authorization.allows(User("ann"), request_attributes(ALL_PODS))
    assert len(reviews.asked) == 4


def test_what_is_remembered_is_bounded() -> None:
    cache: TTLCache[int, int] = TTLCache(Clock())
    for number in range(ENTRIES + 1):
        cache.put(number, number, 10)
    assert cache.get(0) is None
    assert cache.get(1) == 1
