"""Tokens of ServiceAccounts: verified by the cluster's keys, allowed by namespace and name, reviewed where strict."""

from datetime import timedelta
from typing import Any

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.identity import verifiers
from chatfleet_api.identity.jose import InvalidTokenError
from chatfleet_api.identity.service_accounts import REVIEW_SECONDS
from chatfleet_contract.runtime import RuntimeReview, RuntimeServiceAccounts
from chatfleet_contract.spec import OnRevoke
from chatfleet_contract.spec.service_accounts import AllowedServiceAccount
from harness.clients.asgi import ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.issuer import NOW, Issuer, ec_key, jwks, rsa_key, sign
from harness.pods.runs import STOP, FakeProvider, text
from unit.api.identity.test_access import STREAM, following

pytestmark = pytest.mark.looptime

CLUSTER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "chatfleet.io/support"
WEB = AllowedServiceAccount(namespace="shop", name="web")
REVIEW = RuntimeReview(url="https://kubernetes.default.svc", token_file="token", ca_file="ca.crt")  # a path


def accepting(*allow: AllowedServiceAccount, keys: bytes = jwks(ec_key("k")), **changes: Any) -> Pod:  # noqa: ANN401
    """Return a pod that accepts tokens of `allow`, as the operator configures it."""
    pod = Pod(FakeProvider(text("a"), 40.0, [STOP]))
    fields = {"review": None, "audience": AUDIENCE, **changes}
    accounts = RuntimeServiceAccounts(issuer=CLUSTER, keys=keys.decode(), allow=allow or (WEB,), **fields)
    pod.change("access", anonymous=False, service_accounts=accounts)
    return pod


def token(namespace: str = "shop", name: str = "web", **changes: Any) -> str:  # noqa: ANN401  # JSON
    """Return a token as kube-apiserver signs it."""
    now = int(NOW.timestamp())
    bound = {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u"}, "pod": {"name": "p", "uid": "v"}}
    subject = f"system:serviceaccount:{namespace}:{name}"
    usual = {"aud": [AUDIENCE], "exp": now + 600, "iat": now, "nbf": now, "iss": CLUSTER, "sub": subject}
    claims = {**usual, "kubernetes.io": bound, **changes}
    return sign({k: v for k, v in claims.items() if v is not None}, ec_key("k"), algorithm="ES256")


async def status(pod: Pod, sent: str) -> int:
    return (await ask(pod.app, get("/v1/models", authorization=f"Bearer {sent}"))).status


ANYONE_IN_SHOP = AllowedServiceAccount(namespace="shop", name="*")
WEB_ANYWHERE = AllowedServiceAccount(namespace="*", name="web")


@pytest.mark.parametrize(
    ("allowed", "namespace", "name", "expected"),
    [
        (WEB, "shop", "web", 200),
        (WEB, "shop", "web2", 403),
        (WEB, "shop2", "web", 403),
        (WEB, "web", "shop", 403),
        (ANYONE_IN_SHOP, "shop", "job", 200),
        (ANYONE_IN_SHOP, "shop-2", "job", 403),
        (WEB_ANYWHERE, "mill", "web", 200),
        (WEB_ANYWHERE, "mill", "job", 403),
    ],
)
async def test_who_may_call(allowed: AllowedServiceAccount, namespace: str, name: str, expected: int) -> None:
    assert await status(accepting(allowed), token(namespace, name)) == expected


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["https://kubernetes.default.svc"]},
        {"aud": None},
        {"iss": "https://other"},
        {"exp": int(NOW.timestamp()) - 10},
        {"exp": None},
        {"kubernetes.io": None},
        {"kubernetes.io": {"namespace": "shop"}},
        {"sub": "system:serviceaccount:shop:admin"},
        {"sub": "web"},
    ],
)
async def test_a_token_that_is_not_for_us_is_refused_as_none_is(claims: dict[str, Any]) -> None:
    pod = accepting()
    refused = await ask(pod.app, post("/v1/messages", {}, authorization=f"Bearer {token(**claims)}"))
    without = await ask(pod.app, post("/v1/messages", {}))

    assert refused.status == 401
    assert [{**each.json(), "request_id": ""} for each in (refused,)] == [{**without.json(), "request_id": ""}]


async def test_the_tenant_is_the_namespace_and_requests_may_name_users() -> None:
    pod = accepting(AllowedServiceAccount(namespace="*", name="*"))
    made = await ask(pod.app, post("/api/v1/conversations", {"user_id": "ann"}, authorization=f"Bearer {token()}"))
    path = f"/api/v1/conversations/{made.json()['id']}"
    colleague, stranger = token(name="job"), token("mill")

    assert made.json()["user_id"] == "ann"
    assert len((await pod.chat.sessions.list("shop@serviceaccounts")).items) == 1
    assert (await ask(pod.app, get(path, authorization=f"Bearer {colleague}"))).status == 200
    assert (await ask(pod.app, get(path, authorization=f"Bearer {stranger}"))).status == 404


async def test_no_issuer_can_name_the_tenant_of_a_serviceaccount() -> None:
    issuer, pod = Issuer(), accepting()
    pod.issuers = {issuer.url: issuer}
    pod.change("access", jwt=(issuer.settings(),))

    assert await status(pod, issuer.token(tenant="shop@serviceaccounts")) == 403
    assert await status(pod, issuer.token(tenant="shop")) == 200


async def test_keys_are_those_of_the_newest_configuration() -> None:
    pod, sent = accepting(), token()
    assert await status(pod, sent) == 200
    accounts = pod.configuration.current.access.service_accounts
    assert accounts is not None
    both = accounts.model_copy(update={"keys": jwks(rsa_key("n"), ec_key("k")).decode()})
    pod.change("access", service_accounts=both)
    assert await status(pod, sent) == 200
    pod.change("access", service_accounts=accounts.model_copy(update={"keys": jwks(rsa_key("n")).decode()}))

    assert await status(pod, sent) == 401


@pytest.mark.parametrize(("changed", "end"), [("rotated", b"[DONE]"), ("withdrawn", b"revoked"), ("allow", b"revoked")])
async def test_an_open_stream_is_cut_when_its_token_would_be_refused(changed: str, end: bytes) -> None:
    pod = accepting()
    pod.change("access", on_revoke=OnRevoke.CUT)
    asked = post("/v1/chat/completions", STREAM, authorization=f"Bearer {token()}")
    update: dict[str, dict[str, Any]] = {
        "rotated": {"keys": jwks(rsa_key("n"), ec_key("k")).decode()},
        "withdrawn": {"keys": jwks(rsa_key("n")).decode()},
        "allow": {"allow": (AllowedServiceAccount(namespace="shop", name="job"),)},
    }
    async with asking(pod.app, asked) as answering, following(pod):
        await asked.until(b'"content":"a"')
        accounts = pod.configuration.current.access.service_accounts
        assert accounts is not None
        pod.change("access", service_accounts=accounts.model_copy(update=update[changed]))
        await answering

    assert end in asked.body


class FakeReview:
    """An API server whose objects are deleted now and then."""

    def __init__(self, *_: object) -> None:
        self.problem = ""
        self.asked = 0
        self.failure: Exception | None = None

    async def __call__(self, _: bytes, audience: str) -> None:
        self.asked += 1
        assert audience == AUDIENCE
        if self.failure is not None:
            raise self.failure


async def test_strict_asks_again_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    review = FakeReview()
    monkeypatch.setattr(verifiers, "TokenReview", lambda _: review)
    pod, sent = accepting(review=REVIEW), token()
    assert [await status(pod, sent) for _ in range(3)] == [200] * 3
    assert review.asked == 1
    pod.now += timedelta(seconds=REVIEW_SECONDS)
    review.failure = InvalidTokenError()
    assert await status(pod, sent) == 401
    review.failure, review.problem = ChatError(Code.IDENTITY_UNAVAILABLE), "the API server does not review tokens: away"
    assert await status(pod, sent) == 503
    assert pod.health.report().access_errors == ("the API server does not review tokens: away",)
    review.failure = None

    assert await status(pod, sent) == 200


async def test_a_token_that_is_not_signed_by_the_cluster_is_not_reviewed(monkeypatch: pytest.MonkeyPatch) -> None:
    review = FakeReview()
    monkeypatch.setattr(verifiers, "TokenReview", lambda _: review)

    assert await status(accepting(review=REVIEW, keys=jwks(rsa_key("n"))), token()) == 401
    assert review.asked == 0
