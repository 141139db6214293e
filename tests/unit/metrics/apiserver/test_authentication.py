"""Authentication with real certificates and scripted reviews of tokens."""

from datetime import UTC, datetime, timedelta

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
from chatfleet_metrics.apiserver.ttl_cache import TTLCache
from chatfleet_metrics.apiserver.users import AUTHENTICATED, User
from harness.clock import ManualClock
from harness.kube.reviews import FakeReviews

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


BEARER = (("Authorization", "Bearer secret"),)
KNOWN = {"authenticated": True, "user": {"username": "bob", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}}}


async def test_a_token_is_reviewed_by_the_api_server_and_cached() -> None:
    reviews, clock = FakeReviews(KNOWN), ManualClock(0.0)
    tokens = TokenAuthenticator(reviews, TTLCache(clock))
    bob = User("bob", frozenset({"g", AUTHENTICATED}), (("k", ("v",)),), "7")
    assert [await tokens.authenticate(BEARER) for _ in range(3)] == [bob] * 3
    assert reviews.specs == [{"token": "secret"}]
    clock.now = 11
    reviews.status = {}
    assert await tokens.authenticate(BEARER) is None
    reviews.status = {"authenticated": False, **{k: v for k, v in KNOWN.items() if k == "user"}}
    assert await tokens.authenticate(BEARER) is None


@pytest.mark.parametrize("headers", [(), (("Authorization", "Basic secret"),), BEARER * 2])
async def test_without_one_token_there_is_no_review(headers: tuple[tuple[str, str], ...]) -> None:
    reviews = FakeReviews(KNOWN)
    assert await TokenAuthenticator(reviews, TTLCache(ManualClock(0.0))).authenticate(headers) is None
    assert not reviews.specs
