"""A token of the ServiceAccount is exchanged at each vendor's endpoint, field by field, and its access token is used.

The official SDKs are the yardstick where they do the same; Azure's and those of RFC 8693 are written out here.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
import pytest
from anthropic.lib.credentials import WorkloadIdentityCredentials
from openai.auth import k8s_service_account_token_provider
from openai.auth._workload import WorkloadIdentityAuth

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.request import MESSAGES, ChatRequest, Message, Sent
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.registry import Registry
from chatfleet_contract.report import Dependency, State
from chatfleet_contract.spec.provider_types import ProviderType
from harness.polling import eventually_async
from harness.upstream.aws_signature import is_signed, signer_of
from harness.upstream.catalogue import AWS, RecordingMeter, ask, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Reply, Request, fake_upstream
from harness.upstream.wires import WORDS, Wire, answering, refusing, wire_of

LIFETIME = 600
SUBJECT = "header.of-the-service-account.signature"
IDS = {"identityProviderID": "idp_1", "serviceAccountID": "sa_1"}
RULE = {"federationRuleID": "fdrl_1", "organizationID": "0b2c", "serviceAccountID": "svac_1", "workspaceID": "wrkspc_1"}
GENERAL = {"audience": "llm", "resource": "urn:llm", "scope": "chat embed", "clientID": "pods"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@dataclass
class Issuer:
    """A token endpoint on loopback: it gives `token-1`, `token-2` and so on, or refuses."""

    fake: FakeUpstream
    refusal: tuple[int, bytes] | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    given: int = 0
    most: int = 0
    running: int = 0

    async def script(self, reply: Reply) -> None:
        """Answer one exchange."""
        self.running += 1
        self.most = max(self.most, self.running)
        await self.open.wait()
        self.running -= 1
        if self.refusal:
            await refusing(*self.refusal)(reply)
            return
        self.given += 1
        answer = {"access_token": f"token-{self.given}", "expires_in": LIFETIME, "token_type": "Bearer"}
        await refusing(200, msgspec.json.encode(answer))(reply)

    @property
    def exchanges(self) -> list[Request]:
        """Return the requests for a token."""
        return [each for each in self.fake.requests if "token" in each.path]


@dataclass(frozen=True)
class Case:
    """A type of provider, and the exchange that it uses."""

    kind: ProviderType
    exchange: str
    settings: Mapping[str, str]
    url_field: str | None
    path: str
    fields: Mapping[str, str]

    @property
    def wire(self) -> Wire:
        """Return how the provider writes."""
        return wire_of(self.kind)

    def identity(self, url: str) -> dict[str, object]:
        """Return the settings of the identity; tokens are at `url`."""
        at = {self.url_field: url + self.path.partition("/tenant")[0]} if self.url_field else {}
        return {self.exchange: {**self.settings, **at}}


AZURE = {"tenantID": "tenant.example", "clientID": "app-1"}
AZURE_FIELDS = {
    "grant_type": "client_credentials",
    "client_id": "app-1",
    "client_assertion": SUBJECT,
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "scope": "https://cognitiveservices.azure.com/.default",
}
OPENAI_FIELDS = {
    "grant_type": EXCHANGE,
    "subject_token": SUBJECT,
    "subject_token_type": JWT,
    "identity_provider_id": "idp_1",
    "service_account_id": "sa_1",
}
ANTHROPIC_FIELDS = {
    "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "assertion": SUBJECT,
    "federation_rule_id": "fdrl_1",
    "organization_id": "0b2c",
    "service_account_id": "svac_1",
    "workspace_id": "wrkspc_1",
}
GENERAL_FIELDS = {
    "grant_type": EXCHANGE,
    "subject_token": SUBJECT,
    "subject_token_type": JWT,
    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "audience": "llm",
    "resource": "urn:llm",
    "scope": "chat embed",
    "client_id": "pods",
}
OPENAI = Case(ProviderType.OPENAI, "openAI", IDS, "tokenURL", "/oauth/token", OPENAI_FIELDS)
ANTHROPIC = Case(ProviderType.ANTHROPIC, "anthropic", RULE, None, "/anthropic/v1/oauth/token", ANTHROPIC_FIELDS)
CASES = {
    "OpenAI": OPENAI,
    "Anthropic": ANTHROPIC,
    "Azure": Case(
        *(ProviderType.AZURE_OPENAI, "azure", AZURE, "authorityURL"),
        *("/tenant.example/oauth2/v2.0/token", AZURE_FIELDS),
    ),
    "RFC 8693": Case(
        ProviderType.OPENAI_COMPATIBLE, "tokenExchange", GENERAL, "url", "/realms/a/token", GENERAL_FIELDS
    ),
    "RFC 8693 for Bedrock": Case(
        ProviderType.BEDROCK, "tokenExchange", GENERAL, "url", "/realms/a/token", GENERAL_FIELDS
    ),
}
of_each = pytest.mark.parametrize("name", CASES)


@dataclass
class Pod:
    """A pod with one provider that authenticates by its ServiceAccount."""

    catalogue: Catalogue
    issuer: Issuer
    upstream: FakeUpstream
    token_file: Path
    later: float = 0.0
    """Seconds that its clock is ahead."""

    @property
    def answers(self) -> list[Request]:
        """Return the requests for answers."""
        return [each for each in self.upstream.requests if each.method == "POST" and "oauth" not in each.path]

    async def ask(self, request: ChatRequest | None = None) -> Code | None:
        """Request an answer, and return the code of its failure."""
        provider = self.catalogue.provider("default")
        return (await (ask(provider, request) if request else ask(provider))).code

    async def check(self) -> Dependency:
        """Check the provider."""
        return (await self.catalogue.check())["up"]


@asynccontextmanager
async def pod_with(case: Case, folder: Path, **settings: object) -> AsyncIterator[Pod]:
    """Run a pod whose provider has the identity of `case`."""
    (file := folder / "identity-token").write_text(f"{SUBJECT}\n")
    async with fake_upstream(answering(case.wire)) as upstream, fake_upstream() as tokens:
        issuer = Issuer(tokens if case.url_field else upstream)
        issuer.open.set()
        tokens.answers(issuer.script)
        answer = answering(case.wire)

        async def both(reply: Reply) -> None:
            if reply.request.method == "GET":
                await refusing(200, b'{"object":"list","data":[{"id":"gpt-x"}]}')(reply)
            elif "oauth" in reply.request.path:
                await issuer.script(reply)
            else:
                await answer(reply)

        upstream.answers(both)
        identity = {**case.identity(tokens.url), "tokenFile": str(file)}
        provider = provider_of(case.wire, upstream.url, **{"workloadIdentity": identity, **settings})
        with closing(ConnectionPool()) as connections:
            pod = Pod(Catalogue({}, {}, {}, {}), issuer, upstream, file)
            environment = Environment(connections, RecordingMeter(), time.monotonic, random.random, environ=AWS)
            clocked = environment._replace(wall_clock=lambda: time.time() + pod.later)
            pod.catalogue = Registry(clocked).catalogue(config_of(provider))
            yield pod


def fields_of(request: Request) -> dict[str, str]:
    """Return the fields of a request for a token, as JSON or as a form."""
    if request.headers["content-type"] == "application/json":
        return dict(request.json)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


@of_each
async def test_one_exchange_with_exactly_its_fields_authenticates_all_requests(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    async with pod_with(case, tmp_path) as pod:
        assert await asyncio.gather(*(pod.ask() for _ in range(5))) == [None] * 5
        assert (await pod.check()).state is State.UP
    (exchange,) = pod.issuer.exchanges
    assert (exchange.method, exchange.path) == ("POST", case.path)
    assert fields_of(exchange) == case.fields
    assert "authorization" not in exchange.headers
    assert {each.headers["authorization"] for each in [*pod.answers, pod.upstream.requests[-1]]} == {"Bearer token-1"}
    assert len(pod.answers) == 5
    assert not {"api-key", "x-api-key", "x-amz-date"} & {header for each in pod.answers for header in each.headers}


async def test_the_fields_that_are_optional_at_anthropic_and_in_the_rfc_are_left_out_when_unset(tmp_path: Path) -> None:
    least = {"federationRuleID": "fdrl_1", "organizationID": "0b2c"}
    for case, needed in (
        (Case(ProviderType.ANTHROPIC, "anthropic", least, None, "", {}), 4),
        (Case(ProviderType.OPENAI_COMPATIBLE, "tokenExchange", {}, "url", "/token", {}), 4),
    ):
        async with pod_with(case, tmp_path) as pod:
            assert await pod.ask() is None
        assert len(fields_of(pod.issuer.exchanges[0])) == needed


async def test_openai_gets_what_its_own_sdk_sends(tmp_path: Path) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        assert await pod.ask() is None
        sdk = WorkloadIdentityAuth(
            workload_identity={
                "identity_provider_id": "idp_1",
                "service_account_id": "sa_1",
                "provider": k8s_service_account_token_provider(pod.token_file),
            },
            token_exchange_url=pod.issuer.fake.url + OPENAI.path,
        )
        assert await sdk.get_token_async() == "token-2"
    ours, theirs = pod.issuer.exchanges
    assert (ours.path, fields_of(ours)) == (theirs.path, fields_of(theirs))


async def test_anthropic_gets_what_its_own_sdk_sends(tmp_path: Path) -> None:
    async with pod_with(ANTHROPIC, tmp_path) as pod:
        assert await pod.ask() is None
        with WorkloadIdentityCredentials(
            identity_token_provider=lambda: SUBJECT,
            federation_rule_id="fdrl_1",
            organization_id="0b2c",
            service_account_id="svac_1",
            workspace_id="wrkspc_1",
        ) as sdk:
            sdk.bind_base_url(pod.issuer.fake.url + ANTHROPIC.wire.base_path)
            assert (await asyncio.to_thread(sdk)).token == "token-2"  # of the fake
    ours, theirs = pod.issuer.exchanges
    assert (ours.path, fields_of(ours)) == (theirs.path, fields_of(theirs))
    assert ours.headers["anthropic-beta"] == theirs.headers["anthropic-beta"]


async def test_requests_to_anthropic_have_the_beta_of_access_tokens_besides_those_of_the_client(tmp_path: Path) -> None:
    body = b'{"model":"default","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}'
    sent = Sent(MESSAGES, msgspec.Raw(body), 1, headers={"anthropic-beta": "files-api-2025-04-14"})
    async with pod_with(ANTHROPIC, tmp_path) as pod:
        assert await pod.ask() is None
        assert await pod.ask(ChatRequest("default", (Message("user", "Hi"),), sent=sent)) is None
    plain, beta = (each.headers["anthropic-beta"] for each in pod.answers)
    assert (plain, beta) == ("oauth-2025-04-20", "files-api-2025-04-14,oauth-2025-04-20")


@of_each
async def test_a_token_is_exchanged_again_before_its_end_and_the_old_one_serves_meanwhile(
    name: str, tmp_path: Path
) -> None:
    async with pod_with(CASES[name], tmp_path) as pod:
        assert await pod.ask() is None
        pod.token_file.write_text("newer.service-account.token")
        pod.issuer.open.clear()
        pod.later = LIFETIME - 100
        assert await asyncio.gather(*(pod.ask() for _ in range(5))) == [None] * 5
        await eventually_async(lambda: _is(pod.issuer.running == 1))
        pod.issuer.open.set()

        async def renewed() -> bool:
            assert await pod.ask() is None
            return pod.answers[-1].headers["authorization"] == "Bearer token-2"

        await eventually_async(renewed)
    assert [each.headers["authorization"] for each in pod.answers[:6]] == ["Bearer token-1"] * 6
    first, second = map(fields_of, pod.issuer.exchanges)
    assert {first[key] for key in first if first[key] != second[key]} == {SUBJECT}
    assert "newer.service-account.token" in second.values()
    assert pod.issuer.most == 1


async def _is(value: bool) -> bool:  # noqa: FBT001  # what is waited for
    return value


REFUSALS = {
    "RFC 6749": (400, b'{"error":"invalid_grant","error_description":"The audience is not llm."}'),
    "OpenAI": (401, b'{"error":{"type":"invalid_grant","message":"The audience is not llm."}}'),
    "a text": (403, b"invalid_grant: The audience is not llm."),
}


@pytest.mark.parametrize("shape", REFUSALS)
async def test_a_refusal_is_reported_in_the_words_of_the_endpoint_and_no_request_goes_out(
    shape: str, tmp_path: Path
) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        pod.issuer.refusal = REFUSALS[shape]
        assert await pod.ask() is Code.UPSTREAM_AUTHENTICATION
        seen = await pod.check()
        assert pod.upstream.requests == []
        assert seen.state is State.DOWN
        assert "invalid_grant: The audience is not llm" in (seen.message or "")
        assert "correct credentials.workloadIdentity" in (seen.message or "")
        assert len(pod.issuer.exchanges) == 1
        pod.issuer.refusal = None
        pod.later = 5
        assert (await pod.check()).state is State.UP
        assert await pod.ask() is None


async def test_a_renewal_that_fails_is_a_note_while_the_old_token_serves_and_a_failure_after_its_end(
    tmp_path: Path,
) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        assert await pod.ask() is None
        pod.issuer.refusal = REFUSALS["RFC 6749"]
        pod.later = LIFETIME - 100

        async def noted() -> bool:
            seen = await pod.check()
            assert seen.state is State.UP
            return "invalid_grant: The audience is not llm" in (seen.message or "")

        await eventually_async(noted)
        assert await pod.ask() is None
        pod.later = LIFETIME
        assert await pod.ask() is Code.UPSTREAM_AUTHENTICATION
        assert (await pod.check()).state is State.DOWN


async def test_a_request_without_a_token_is_forgotten_with_the_next_check_that_has_one(tmp_path: Path) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        pod.issuer.refusal = REFUSALS["RFC 6749"]
        assert await pod.ask() is Code.UPSTREAM_AUTHENTICATION
        pod.issuer.refusal, pod.later = None, 5
        assert await pod.check() == Dependency(state=State.UP)
        assert pod.catalogue.outcomes() == {}


async def test_no_message_has_a_token_that_the_endpoint_or_the_upstream_repeats(tmp_path: Path) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        pod.issuer.refusal = (400, b'{"error":"invalid_request","error_description":"bad %b"}' % SUBJECT.encode())
        seen = await pod.check()
        assert "bad [hidden]" in (seen.message or "")
        pod.issuer.refusal, pod.later = None, 60
        pod.upstream.answers(refusing(401, b'{"error":{"message":"token-1 has no rights"}}'))
        seen = await pod.check()
        assert "[hidden] has no rights" in (seen.message or "")


async def test_a_token_that_the_upstream_rejects_is_exchanged_again_and_a_missing_right_is_not(tmp_path: Path) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        accepting = pod.upstream.scripts[0]
        pod.upstream.answers(refusing(403), refusing(401), accepting)
        assert await pod.ask() is Code.UPSTREAM_AUTHENTICATION
        pod.later = 30
        assert await pod.ask() is Code.UPSTREAM_AUTHENTICATION
        pod.later = 60
        assert await pod.ask() is None
    assert [each.headers["authorization"] for each in pod.answers] == [
        *("Bearer token-1", "Bearer token-1"),
        "Bearer token-2",
    ]


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (503, b"busy", Code.UPSTREAM_UNAVAILABLE, "HTTP 503 for an access token: busy"),
        (429, b"{}", Code.UPSTREAM_UNAVAILABLE, "HTTP 429"),
        (302, b"", Code.UPSTREAM_UNAVAILABLE, "HTTP 302"),
        (200, b"<html>", Code.UPSTREAM_AUTHENTICATION, "no access_token"),
        (200, b'{"access_token":7}', Code.UPSTREAM_AUTHENTICATION, "no access_token"),
        (200, b'{"access_token":"","expires_in":9}', Code.UPSTREAM_AUTHENTICATION, "is empty"),
        (200, b'{"access_token":"a\\r\\nX:y","expires_in":9}', Code.UPSTREAM_AUTHENTICATION, "no header may have"),
        (200, b'{"access_token":"a","expires_in":0}', Code.UPSTREAM_AUTHENTICATION, "expires in 0 s"),
        (200, b'{"access_token":"a","expires_in":"soon"}', Code.UPSTREAM_AUTHENTICATION, "no number"),
        (200, b'{"access_token":"a","token_type":"DPoP"}', Code.UPSTREAM_AUTHENTICATION, "one of type Bearer"),
    ],
)
async def test_what_is_no_access_token_has_its_code_and_reason(
    status: int, body: bytes, code: Code, words: str, tmp_path: Path
) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        pod.issuer.refusal = (status, body)
        assert await pod.ask() is code
        assert words in ((await pod.check()).message or "")
        assert pod.upstream.requests == []


async def test_a_token_without_a_stated_lifetime_and_one_in_quotes_are_used(tmp_path: Path) -> None:
    for body in (b'{"access_token":"a.b-c"}', b'{"access_token":"a.b-c","expires_in":"3599"}'):
        async with pod_with(OPENAI, tmp_path) as pod:
            pod.issuer.refusal = (200, body)
            assert await pod.ask() is None
        assert pod.answers[0].headers["authorization"] == "Bearer a.b-c"


async def test_without_the_token_of_the_service_account_its_file_is_named(tmp_path: Path) -> None:
    async with pod_with(OPENAI, tmp_path) as pod:
        pod.token_file.unlink()
        assert await pod.ask() is Code.UPSTREAM_AUTHENTICATION
        assert str(pod.token_file) in ((await pod.check()).message or "")
    assert pod.issuer.exchanges == []


async def test_the_exchange_passes_the_outbound_guard(tmp_path: Path) -> None:
    case = Case(ProviderType.OPENAI, "openAI", {**IDS, "tokenURL": "http://169.254.169.254/token"}, None, "", {})
    async with pod_with(case, tmp_path) as pod:
        assert await pod.ask() is Code.UPSTREAM_UNAVAILABLE
        assert "connections to 169.254.169.254 are refused" in ((await pod.check()).message or "")


STS = (
    "<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>secret/1"
    "</SecretAccessKey><SessionToken>session==</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    "</Credentials></AssumeRoleWithWebIdentityResponse>"
)
ROLE = "arn:aws:iam::111122223333:role/chat"


async def test_a_role_of_aws_that_the_resource_names_goes_before_all_that_the_environment_has(tmp_path: Path) -> None:
    wire = wire_of(ProviderType.BEDROCK)
    (file := tmp_path / "identity-token").write_text(SUBJECT)
    async with fake_upstream(refusing(200, STS.encode())) as sts, fake_upstream(answering(wire)) as upstream:
        identity = {"aws": {"roleARN": ROLE}, "tokenFile": str(file)}
        environ = {**AWS, "AWS_BEARER_TOKEN_BEDROCK": "bedrock-key", "AWS_ENDPOINT_URL_STS": f"{sts.url}/"}
        with closing(ConnectionPool()) as connections:
            environment = Environment(connections, RecordingMeter(), time.monotonic, random.random, environ=environ)
            config = config_of(provider_of(wire, upstream.url, workloadIdentity=identity))
            outcome = await ask(Registry(environment).catalogue(config).provider("default"))
    assert (outcome.error, outcome.text) == (None, "".join(WORDS))
    (exchange,), (request,) = sts.requests, upstream.requests
    assert fields_of(exchange) == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "chatfleet",
        "WebIdentityToken": SUBJECT,
    }
    assert (signer_of(request)[0], request.headers["x-amz-security-token"]) == ("ASIA1", "session==")
    assert is_signed(request, "secret/1")
