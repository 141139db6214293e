"""Tokens of named issuers: who is accepted, how all others are refused, and what becomes of keys."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import OctKey

from chatfleet_api.identity import tokens as module
from chatfleet_api.identity.issuer_keys import FLOOR_SECONDS, KEEP_SECONDS, REFRESH_SECONDS
from chatfleet_api.identity.jose import InvalidKeysError, Unverified, parse_keys, peek
from chatfleet_contract.spec import OnRevoke
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.issuer import Issuer, ec_key, encoded, jwks, rsa_key, sign
from harness.pods.runs import STOP, FakeProvider, text
from unit.api.identity.test_access import MESSAGE, STREAM, following

pytestmark = pytest.mark.looptime


def accepting(
    *issuers: Issuer,
    provider: FakeProvider | None = None,
    on_revoke: OnRevoke = OnRevoke.FINISH,
    **settings: Any,  # noqa: ANN401  # JSON
) -> Pod:
    """Return a pod that accepts the tokens of `issuers`."""
    pod = Pod(provider or FakeProvider(text("a"), [STOP]))
    pod.issuers = {each.url: each for each in issuers}
    jwt = tuple(each.settings(**settings) for each in issuers)
    pod.change("access", anonymous=False, jwt=jwt, on_revoke=on_revoke)
    return pod


async def status(pod: Pod, token: str) -> int:
    return (await ask(pod.app, get("/v1/models", authorization=f"Bearer {token}"))).status


@pytest.mark.feature(51)
@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
async def test_a_token_is_accepted_in_each_header(header: str) -> None:
    issuer = Issuer()
    value = f"Bearer {issuer.token()}" if header == "authorization" else issuer.token()
    asked = await ask(accepting(issuer).app, post("/v1/chat/completions", MESSAGE, **{header: value}))

    assert asked.status == 200


async def test_tenant_and_user_are_those_of_the_token() -> None:
    issuer = Issuer()
    pod, path = accepting(issuer), "/api/v1/conversations"
    ann = {"authorization": f"Bearer {issuer.token()}"}
    made = await ask(pod.app, post(path, {}, **ann))
    other = await ask(pod.app, post(path, {"user_id": "bob"}, **ann))
    stranger = {"authorization": f"Bearer {issuer.token(tenant='mill')}"}
    unseen = await ask(pod.app, get(f"{path}/{made.json()['id']}", **stranger))

    assert made.json()["user_id"] == "ann"
    assert (other.status, other.json()["code"]) == (403, "user_mismatch")
    assert (unseen.status, unseen.json()["code"]) == (404, "conversation_not_found")
    assert len((await pod.chat.sessions.list("shop")).items) == 1


async def test_an_issuer_may_have_one_tenant() -> None:
    issuer = Issuer()
    pod = accepting(issuer, tenant="all", tenantClaim=None)
    await ask(pod.app, post("/api/v1/conversations", {}, authorization=f"Bearer {issuer.token(tenant=None)}"))

    assert len((await pod.chat.sessions.list("all")).items) == 1


async def test_a_token_of_a_service_may_name_any_user() -> None:
    issuer = Issuer()
    pod, service = accepting(issuer, userClaim="*"), {"authorization": f"Bearer {issuer.token(sub=None)}"}
    made = [await ask(pod.app, post("/api/v1/conversations", each, **service)) for each in ({}, {"user_id": "bob"})]

    assert [each.json()["user_id"] for each in made] == [None, "bob"]


def _unsigned(claims: dict[str, Any], header: dict[str, Any], signature: bytes = b"") -> str:
    return ".".join(map(encoded, (json.dumps(header).encode(), json.dumps(claims).encode(), signature)))


ISSUER = Issuer()
CLAIMS = ISSUER.claims()
NOW = CLAIMS["iat"]
PUBLIC = OctKey.import_key(json.dumps(rsa_key("a").as_dict(private=False)))
INVALID = {
    "another key": sign(CLAIMS, rsa_key("b"), kid="a"),
    "an unknown key": sign(CLAIMS, rsa_key("b")),
    "no signature": _unsigned(CLAIMS, {"alg": "none", "kid": "a"}),
    "an empty signature": _unsigned(CLAIMS, {"alg": "RS256", "kid": "a"}),
    "the public key as a secret": sign(CLAIMS, PUBLIC, algorithm="HS256", kid="a"),
    "an algorithm that is not accepted": sign(CLAIMS, rsa_key("a"), algorithm="RS512"),
    "an algorithm of another kind of key": sign(CLAIMS, ec_key("a"), algorithm="ES256"),
    "a header that must be understood": sign(CLAIMS, rsa_key("a"), crit=["exp"], exp=NOW),
    "another issuer": ISSUER.token(iss="https://login.example.com/realms/chat/"),
    "no issuer": ISSUER.token(iss=None),
    "another audience": ISSUER.token(aud="shop"),
    "no audience": ISSUER.token(aud=None),
    "an audience that begins alike": ISSUER.token(aud=["chat2", "cha"]),
    "its end": ISSUER.token(exp=NOW - 30),
    "no end": ISSUER.token(exp=None),
    "an end that is no number": ISSUER.token(exp="never"),
    "a time to come": ISSUER.token(nbf=NOW + 31),
    "an issue to come": ISSUER.token(iat=NOW + 31),
    "too many bytes": ISSUER.token(more="x" * 9000),
    "other claims than signed": ".".join(
        (
            ISSUER.token().split(".")[0],
            _unsigned({**CLAIMS, "tenant": "mill"}, {}).split(".")[1],
            ISSUER.token().split(".")[2],
        )
    ),
    "no JSON": "eyJ.eyJ.eyJ",
    "no base64": "ey\u00e9.e.e",
    "four parts": f"{ISSUER.token()}.x",
}


@pytest.mark.parametrize("token", INVALID.values(), ids=INVALID.keys())
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/v1/conversations"])
async def test_an_invalid_token_is_refused_as_none_is(token: str, path: str) -> None:
    pod = accepting(Issuer())
    assert await status(pod, ISSUER.token()) == 200
    refused = await ask(pod.app, post(path, {}, authorization=f"Bearer {token}".encode().decode("latin-1")))
    without = await ask(pod.app, post(path, {}))

    assert refused.status == 401
    bodies = [{**each.json(), "request_id": ""} for each in (refused, without)]
    assert bodies[0] == bodies[1]
    varying = {"date", "x-request-id", "request-id"}
    heads = [{k: v for k, v in each.headers.items() if k not in varying} for each in (refused, without)]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("claims", [{"exp": NOW - 29}, {"nbf": NOW + 30}, {"iat": NOW + 30}, {"aud": ["x", "chat"]}])
async def test_clocks_may_differ_and_a_token_have_several_audiences(claims: dict[str, Any]) -> None:
    assert await status(accepting(Issuer()), ISSUER.token(**claims)) == 200


async def test_keys_of_elliptic_curves_and_tokens_without_the_name_of_a_key() -> None:
    issuer = Issuer()
    issuer.keys = [rsa_key("a"), ec_key("e")]
    pod = accepting(issuer)

    assert await status(pod, sign(issuer.claims(), ec_key("e"), algorithm="ES256")) == 200
    assert await status(pod, sign(issuer.claims(), rsa_key("a"), kid=None)) == 200
    issuer.keys.append(rsa_key("b"))
    again = accepting(issuer)
    assert await status(again, sign(issuer.claims(), rsa_key("a"), kid=None)) == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": None},
        {"scope": "chat.read"},
        {"scope": "chat.writer chat.read"},
        {"tenant": None},
        {"tenant": "a:b"},
        {"tenant": ["shop"]},
        {"sub": None},
        {"sub": ""},
    ],
)
async def test_a_valid_token_that_may_not_call_is_refused_by_403(claims: dict[str, Any]) -> None:
    issuer = Issuer()
    pod = accepting(issuer, requiredScopes=["chat.read", "chat.write"])
    token = issuer.token(**{"scope": "chat.read chat.write", **claims})
    openai, anthropic, native = [
        (await ask(pod.app, post(path, {}, authorization=f"Bearer {token}"))).json()
        for path in ("/v1/chat/completions", "/v1/messages", "/api/v1/conversations")
    ]

    assert (openai["error"]["code"], anthropic["error"]["type"]) == ("permission_denied", "permission_error")
    assert (native["code"], native["retryable"]) == ("permission_denied", False)
    assert await status(pod, token) == 403
    assert not any(word in json.dumps((openai, anthropic, native)) for word in ("scope", "tenant", "sub"))


@pytest.mark.parametrize("scopes", [{"scope": "a b"}, {"scp": "a b"}, {"scp": ["b", "a"]}, {"scope": "a", "scp": "b"}])
async def test_scopes_come_in_two_claims_and_two_forms(scopes: dict[str, Any]) -> None:
    issuer = Issuer()
    assert await status(accepting(issuer, requiredScopes=["a", "b"]), issuer.token(**scopes)) == 200


async def test_a_key_that_is_not_known_is_fetched_and_invented_ones_are_not_fetched_again() -> None:
    issuer = Issuer()
    pod = accepting(issuer)
    assert await status(pod, issuer.token()) == 200
    await asyncio.sleep(FLOOR_SECONDS)
    issuer.keys.append(rsa_key("b"))
    assert await status(pod, issuer.token()) == 200
    assert issuer.fetches == 2
    for _ in range(5):
        assert await status(pod, sign(CLAIMS, rsa_key("c"))) == 401
        await asyncio.sleep(FLOOR_SECONDS / 6)

    assert issuer.fetches == 2


async def test_many_requests_wait_for_one_fetch() -> None:
    issuer = Issuer()
    pod = accepting(issuer)
    found = await asyncio.gather(*(status(pod, issuer.token(jti=str(each))) for each in range(9)))

    assert found == [200] * 9
    assert issuer.fetches == 1


async def test_a_key_that_is_withdrawn_is_refused_in_minutes() -> None:
    issuer = Issuer()
    pod = accepting(issuer)
    token = issuer.token()
    async with following(pod):
        assert await status(pod, token) == 200
        issuer.keys = [rsa_key("b")]
        await asyncio.sleep(REFRESH_SECONDS + 1)
        pod.now += timedelta(seconds=REFRESH_SECONDS + 1)

        assert await status(pod, token) == 401
        assert await status(pod, issuer.token()) == 200


async def test_known_keys_are_used_for_an_hour_while_the_issuer_is_away() -> None:
    issuer = Issuer()
    pod = accepting(issuer)
    async with following(pod):
        assert await status(pod, issuer.token()) == 200
        issuer.failure = OSError("it is away")
        await asyncio.sleep(KEEP_SECONDS - 10)
        assert await status(pod, issuer.token(jti="new")) == 200
        assert pod.health.report().access_errors == (
            f"the keys of issuer {issuer.url} cannot be fetched, and known ones are used for up to an hour: it is away",
        )
        await asyncio.sleep(20)
        away = await ask(pod.app, get("/v1/models", authorization=f"Bearer {issuer.token(jti='late')}"))
        assert (away.status, away.headers["retry-after"], away.headers["x-should-retry"]) == (503, "10", "true")
        assert "its tokens are refused" in pod.health.report().access_errors[0]
        issuer.failure = None
        await asyncio.sleep(FLOOR_SECONDS + 1)

        assert await status(pod, issuer.token(jti="back")) == 200
        assert pod.health.report().access_errors == ()


async def test_an_issuer_that_was_never_reached_is_not_waited_for_twice() -> None:
    issuer = Issuer()
    issuer.failure = TimeoutError()
    pod = accepting(issuer)

    assert [await status(pod, issuer.token()) for _ in range(3)] == [503] * 3
    assert issuer.fetches == 1


async def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def counted(token: bytes) -> Unverified | None:
        seen.append(token)
        return peek(token)

    monkeypatch.setattr(module, "peek", counted)
    issuer = Issuer()
    pod = accepting(issuer)

    assert [await status(pod, issuer.token()) for _ in range(3)] == [200] * 3
    assert len(seen) == 1
    pod.now += timedelta(seconds=630)
    assert await status(pod, issuer.token()) == 401


async def test_the_tokens_that_are_known_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    issuer = Issuer()
    pod = accepting(issuer)
    for each in range(3):
        assert await status(pod, issuer.token(jti=str(each))) == 200

    assert len(pod.authentication._tokens._known) == 2  # noqa: SLF001  # not visible from outside


async def test_an_issuer_that_is_removed_is_refused_at_once() -> None:
    issuer = Issuer()
    pod = accepting(issuer)
    assert await status(pod, issuer.token()) == 200
    pod.change("access", jwt=())
    asked = await ask(pod.app, get("/v1/models", authorization=f"Bearer {issuer.token()}"))

    assert asked.status == 401


async def test_two_audiences_of_one_issuer() -> None:
    issuer = Issuer()
    pod = accepting(issuer, audience="other", requiredScopes=["x"])
    pod.change("access", jwt=(*pod.configuration.current.access.jwt, issuer.settings()))

    assert await status(pod, issuer.token()) == 200
    assert await status(pod, issuer.token(aud="other")) == 403
    assert await status(pod, issuer.token(aud="none")) == 401


@pytest.mark.parametrize(("on_revoke", "end"), [(OnRevoke.CUT, b"credential_revoked"), (OnRevoke.FINISH, b"[DONE]")])
async def test_an_open_stream_of_a_token_that_ends(on_revoke: OnRevoke, end: bytes) -> None:
    issuer = Issuer()
    pod = accepting(issuer, provider=FakeProvider(text("a"), 40.0, [STOP]), on_revoke=on_revoke)
    asked = post("/v1/chat/completions", STREAM, authorization=f"Bearer {issuer.token()}")
    async with asking(pod.app, asked) as answering, following(pod):
        await asked.until(b'"content":"a"')
        pod.now += timedelta(seconds=630)
        await answering

    assert end in asked.body


@pytest.mark.parametrize("cause", ["key", "issuer"])
async def test_an_open_stream_is_cut_when_its_issuer_or_key_is_withdrawn(cause: str) -> None:
    issuer = Issuer()
    pod = accepting(issuer, provider=FakeProvider(text("a"), 900.0, [STOP]), on_revoke=OnRevoke.CUT)
    asked = post("/v1/chat/completions", STREAM, authorization=f"Bearer {issuer.token()}")
    async with asking(pod.app, asked) as answering, following(pod):
        await asked.until(b'"content":"a"')
        if cause == "key":
            issuer.keys = [rsa_key("b")]
        else:
            pod.change("access", jwt=())
        await answering

    assert b"credential_revoked" in asked.body


async def test_a_token_beside_another_credential_is_refused() -> None:
    issuer = Issuer()
    both = Exchange("GET", "/v1/models", headers={"authorization": f"Bearer {issuer.token()}", "x-api-key": "other"})
    await ask(accepting(issuer).app, both)

    assert both.status == 401


def test_only_keys_that_verify_signatures_are_used() -> None:
    weak = rsa_key("b").as_dict(private=False)
    weak["n"] = str(weak["n"])[:340]
    encrypting = rsa_key("b").as_dict(private=False, use="enc")
    other = rsa_key("c").as_dict(private=False, alg="RSA-OAEP")
    secret = OctKey.generate_key(256).as_dict(private=True, kid="s")
    listed = [weak, encrypting, other, secret, {"kty": "EC", "crv": "P-256"}, {"kty": "AKP", "alg": "ML-DSA-44"}, {}]
    document = json.loads(jwks(rsa_key("a")))
    found = parse_keys(json.dumps({"keys": [*listed, *document["keys"]]}).encode())

    assert len(found.thumbprints) == 1
    with pytest.raises(InvalidKeysError, match="no key that verifies"):
        parse_keys(json.dumps({"keys": listed}).encode())
    for wrong in (b"", b"<html>", b"[]", b'{"keys": {}}', b"\xff"):
        with pytest.raises(InvalidKeysError, match="no JWKS"):
            parse_keys(wrong)
