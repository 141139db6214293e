"""Bedrock over real connections: signatures, the standard chain of credentials, exceptions, checks, and mantle."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.registry import Registry
from chatfleet_contract.report import State
from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.polling import eventually_async
from harness.upstream.aws_signature import is_signed, signer_of
from harness.upstream.catalogue import AWS, RecordingMeter, ask, catalogue_of, config_of, key_file, provider_of
from harness.upstream.event_stream import exception_frame
from harness.upstream.fake import FakeUpstream, Handler, Reply, Request, fake_upstream, playing
from harness.upstream.wires import WORDS, OpenAIWire, answering, refusing, wire_of

WIRE = wire_of(ProviderType.BEDROCK)
MANTLE = {"bedrock": {"region": "eu-central-1", "endpoint": "mantle"}}
SECRET = AWS["AWS_SECRET_ACCESS_KEY"]
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2"
SOON = 60


@asynccontextmanager
async def catalogue_with(
    environ: Mapping[str, str], config: RuntimeConfig, wall_clock: Callable[[], float] = time.time
) -> AsyncIterator[Catalogue]:
    """Open the catalogue of `config` in a pod with these variables."""
    with closing(ConnectionPool()) as connections:
        environment = Environment(connections, RecordingMeter(), time.monotonic, random.random, environ=environ)
        yield Registry(environment._replace(wall_clock=wall_clock)).catalogue(config)


def temporary(number: int, seconds: float) -> dict[str, str]:
    """Return credentials of AWS that expire in `seconds`."""
    expires = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "AccessKeyId": f"ASIA{number}",
        "SecretAccessKey": f"secret/{number}",
        "SessionToken": f"token/{number}==",
        "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def sts(*answers: dict[str, str]) -> tuple[Handler, ...]:
    """Return the scripts of AWS STS that gives these credentials in turn."""

    def script(answer: dict[str, str]) -> Handler:
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in answer.items())
        xml = (
            f"<AssumeRoleWithWebIdentityResponse><Credentials>{inner}</Credentials></AssumeRoleWithWebIdentityResponse>"
        )
        return refusing(200, xml.encode())

    return tuple(map(script, answers))


@pytest.mark.parametrize("model", ["eu.anthropic.claude-sonnet-9-v1:0", ARN])
async def test_requests_and_checks_are_signed_for_exactly_what_is_sent(model: str) -> None:
    models = [Model(name="default", provider="up", model=model)]
    async with (
        fake_upstream(answering(WIRE)) as upstream,
        catalogue_of(config_of(provider_of(WIRE, upstream.url), models=models)) as catalogue,
    ):
        request = ChatRequest("default", (Message("user", "Fünf?"),))
        assert (await ask(catalogue.provider("default"), request)).error is None
        large = ChatRequest("default", (Message("user", "x" * 400_000),))
        assert (await ask(catalogue.provider("default"), large)).error is None
        upstream.answers(refusing(200))
        assert (await catalogue.check())["up"].state is State.UP
    *posted, checked = upstream.requests
    assert [request.path for request in posted] == [
        f"/bedrock/model/{model.replace(':', '%3A').replace('/', '%2F')}/converse-stream"
    ] * 2
    assert checked.path == "/bedrock/async-invoke?maxResults=1"
    day = datetime.now(UTC).strftime("%Y%m%d")
    for request_ in upstream.requests:
        assert signer_of(request_) == ("AKIDEXAMPLE", f"{day}/eu-central-1/bedrock/aws4_request")
        assert is_signed(request_, SECRET)
        assert not is_signed(request_, "another")
        assert not is_signed(Request(request_.method, request_.path, request_.headers, b"other"), SECRET)


async def test_an_api_key_goes_before_credentials_and_is_no_signature(tmp_path: Path) -> None:
    key = key_file(tmp_path, "bedrock-key")
    async with fake_upstream(answering(WIRE)) as upstream:
        for settings, environ in (({"apiKeyFile": key}, AWS), ({}, AWS | {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-key"})):
            async with catalogue_with(environ, config_of(provider_of(WIRE, upstream.url, **settings))) as catalogue:
                assert (await ask(catalogue.provider("default"))).error is None
    assert [request.headers["authorization"] for request in upstream.requests] == ["Bearer bedrock-key"] * 2


async def test_a_role_by_the_service_account_is_taken_and_again_before_it_expires(tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text("projected.token\n")
    answers = sts(temporary(1, 3_600), temporary(2, 2 * 3_600))
    later = 0.0
    async with fake_upstream(*answers) as identity, fake_upstream(answering(WIRE)) as upstream:
        environ = {
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/chat",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ENDPOINT_URL_STS": f"{identity.url}/",
        }
        config = config_of(provider_of(WIRE, upstream.url))
        async with catalogue_with(environ, config, lambda: time.time() + later) as catalogue:
            first = await asyncio.gather(*(ask(catalogue.provider("default")) for _ in range(5)))
            assert [outcome.error for outcome in first] == [None] * 5
            assert len(identity.requests) == 1
            token.write_text("newer.token")
            later = 3_600 - SOON
            await _fetched_again(catalogue, identity)
            assert (await ask(catalogue.provider("default"))).error is None
    early, late = upstream.requests[0], upstream.requests[-1]
    assert (signer_of(early)[0], early.headers["x-amz-security-token"]) == ("ASIA1", "token/1==")
    assert (signer_of(late)[0], late.headers["x-amz-security-token"]) == ("ASIA2", "token/2==")
    assert is_signed(early, "secret/1")
    assert is_signed(late, "secret/2")
    asked = [parse_qs(request.body.decode()) for request in identity.requests]
    assert [one["WebIdentityToken"] for one in asked] == [["projected.token"], ["newer.token"]]
    assert asked[0]["RoleArn"] == ["arn:aws:iam::1:role/chat"]
    assert not any("authorization" in request.headers for request in identity.requests)


async def _fetched_again(catalogue: Catalogue, identity: FakeUpstream) -> None:
    """Ask until credentials that expire soon have been fetched again, which no request waits for."""

    async def fetched() -> bool:
        assert (await ask(catalogue.provider("default"))).error is None
        return len(identity.requests) >= 2  # the first fetch, and another

    await eventually_async(fetched)


async def test_the_agent_of_the_node_gives_credentials(tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text("agent-token")
    found = temporary(7, 3_600)
    answer = {**found, "Token": found.pop("SessionToken")}
    async with (
        fake_upstream(refusing(200, msgspec.json.encode(answer))) as agent,
        fake_upstream(answering(WIRE)) as upstream,
    ):
        environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }
        async with catalogue_with(environ, config_of(provider_of(WIRE, upstream.url))) as catalogue:
            assert (await ask(catalogue.provider("default"))).error is None
    (request,) = agent.requests
    assert (request.path, request.headers["authorization"]) == ("/v1/credentials", "agent-token")
    assert signer_of(upstream.requests[0])[0] == "ASIA7"
    assert is_signed(upstream.requests[0], "secret/7")


DENIED = b"<ErrorResponse><Error><Message>Not authorized to perform sts:AssumeRole</Message></Error></ErrorResponse>"
UNUSABLE: dict[str, tuple[dict[str, str], str]] = {
    "none": ({}, "no AWS credentials; set apiKeySecretRef"),
    "half a key": ({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, "no AWS credentials"),
    "no token": ({"AWS_ROLE_ARN": "r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere"}, "/nowhere cannot be read"),
    "an agent elsewhere": ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, "use https"),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_without_credentials_nobody_is_requested_and_the_check_has_the_remedy(case: str) -> None:
    environ, remedy = UNUSABLE[case]
    async with (
        fake_upstream(answering(WIRE)) as upstream,
        catalogue_with(environ, config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"))
        seen = (await catalogue.check())["up"]
    assert (outcome.code, upstream.requests) == (Code.UPSTREAM_AUTHENTICATION, [])
    assert (seen.state, remedy in (seen.message or "")) == (State.DOWN, True)


async def test_a_role_that_is_refused_is_named(tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text("projected.token")
    async with fake_upstream(refusing(403, DENIED)) as identity, fake_upstream(answering(WIRE)) as upstream:
        environ = {
            "AWS_ROLE_ARN": "r",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ENDPOINT_URL_STS": identity.url,
        }
        async with catalogue_with(environ, config_of(provider_of(WIRE, upstream.url))) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert outcome.error is not None
    assert outcome.code is Code.UPSTREAM_AUTHENTICATION
    assert "Not authorized to perform sts:AssumeRole" in (outcome.error.detail or "")


# Errors and checks


NAMED: dict[tuple[int, str], Code] = {
    (429, "ThrottlingException"): Code.UPSTREAM_RATE_LIMITED,
    (400, "ServiceQuotaExceededException"): Code.UPSTREAM_RATE_LIMITED,
    (503, "ServiceUnavailableException"): Code.UPSTREAM_OVERLOADED,
    (429, "ModelNotReadyException"): Code.UPSTREAM_OVERLOADED,
    (408, "ModelTimeoutException"): Code.UPSTREAM_TIMEOUT,
    (424, "ModelErrorException"): Code.UPSTREAM_ERROR,
    (404, "ResourceNotFoundException"): Code.MODEL_NOT_FOUND,
    (403, "AccessDeniedException"): Code.UPSTREAM_AUTHENTICATION,
    (403, "ExpiredTokenException"): Code.UPSTREAM_AUTHENTICATION,
    (400, "ValidationException"): Code.UPSTREAM_REJECTED,
}


@pytest.mark.parametrize(("status", "name"), NAMED)
async def test_an_error_response_has_its_name_in_a_header(status: int, name: str) -> None:
    said = b'{"message":"The cause."}'
    script = refusing(status, said, x_amzn_ErrorType=f"{name}:http://internal.amazon.com/coral/")
    async with (
        fake_upstream(script) as upstream,
        catalogue_of(config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"))
    assert outcome.error is not None
    assert outcome.code is NAMED[status, name]
    assert f"{name}: The cause." in (outcome.error.detail or "")


async def test_what_aws_repeats_of_a_signed_request_is_hidden() -> None:
    environ = AWS | {"AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLE//=="}
    said = b'{"message":"The canonical string is x-amz-security-token:IQoJb3JpZ2luX2VjEXAMPLE//== and so on"}'
    script = refusing(403, said, x_amzn_ErrorType="InvalidSignatureException")
    async with (
        fake_upstream(script) as upstream,
        catalogue_with(environ, config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"))
        seen = (await catalogue.check())["up"]
    assert outcome.error is not None
    for text in (outcome.error.detail or "", seen.message or ""):
        assert "x-amz-security-token:[hidden] and so on" in text


async def test_an_exception_before_the_first_token_is_retried_and_one_after_it_is_not() -> None:
    throttled = exception_frame("throttlingException", {"message": "Slow down."})
    early, late = playing(*WIRE.begin(), throttled, "end"), playing(*WIRE.begin(), WIRE.token("A"), throttled, "end")
    for script, code, requests in ((early, None, 2), (late, Code.UPSTREAM_RATE_LIMITED, 1)):
        async with fake_upstream(script, answering(WIRE)) as upstream:
            retries = {"max": 1, "initialSeconds": 1, "maxSeconds": 1}
            async with catalogue_of(config_of(provider_of(WIRE, upstream.url, retries=retries))) as catalogue:
                outcome = await ask(catalogue.provider("default"))
        assert (outcome.code, len(upstream.requests)) == (code, requests)
        assert outcome.text == ("A" if code else "".join(WORDS))


async def test_credentials_that_may_only_invoke_are_a_note_of_the_check_and_no_failure() -> None:
    denied = refusing(403, b'{"message":"not authorized"}', x_amzn_ErrorType="AccessDeniedException")
    unknown = refusing(403, b'{"message":"invalid"}', x_amzn_ErrorType="UnrecognizedClientException")
    async with (
        fake_upstream(denied, unknown) as upstream,
        catalogue_of(config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        note, down = [(await catalogue.check())["up"] for _ in range(2)]
    assert note.state is State.UP
    assert (note.message or "").startswith("only the connection and the credentials were checked")
    assert down.state is State.DOWN
    assert {request.method for request in upstream.requests} == {"GET"}


# Mantle


async def test_mantle_speaks_openais_dialect_with_a_signature_of_its_own_service() -> None:
    wire = OpenAIWire("mantle", ProviderType.BEDROCK, "/openai/v1", MANTLE)
    async with (
        fake_upstream(answering(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"))
        upstream.answers(refusing(200, b'{"object":"list","data":[{"id":"gpt-x"}]}'))
        assert (await catalogue.check())["up"].message is None
    assert (outcome.error, outcome.text) == (None, "".join(WORDS))
    asked, checked = upstream.requests
    assert (asked.path, checked.path) == ("/openai/v1/chat/completions", "/openai/v1/models")
    assert (asked.json["model"], asked.json["stream"]) == ("gpt-x", True)
    for request in (asked, checked):
        assert signer_of(request)[1].endswith("/eu-central-1/bedrock-mantle/aws4_request")
        assert is_signed(request, SECRET)


async def test_no_redirect_of_a_signed_request_is_followed() -> None:
    async def script(reply: Reply) -> None:
        await reply.head(307, Location="https://bedrock.example.com/")
        await reply.end()

    async with (
        fake_upstream(script) as upstream,
        catalogue_of(config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        assert (await ask(catalogue.provider("default"))).code is Code.UPSTREAM_UNAVAILABLE
    assert len(upstream.requests) == 1
