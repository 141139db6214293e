"""Every provider keeps the port's promise, whatever its upstream does: over real connections, in every dialect."""

import asyncio
import gc
import socket
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.http.deadline import Watchdog
from chatfleet_api.providers.policies.circuit_breaker import MIN_ATTEMPTS
from chatfleet_api.providers.provider import AnswerItem, Finish
from chatfleet_contract.report import Dependency, State
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.upstream.catalogue import (
    HELLO,
    Outcome,
    RecordingMeter,
    ask,
    catalogue_of,
    config_of,
    key_file,
    provider_of,
)
from harness.upstream.fake import FakeUpstream, Handler, Reply, Request, fake_upstream, playing
from harness.upstream.wires import WIRES, WORDS, Wire, answering, refusing, whole, wire_of

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning:asyncio")  # connections that scripts reset


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> Wire:
    value: Wire = request.param
    return value


async def outcome_of(wire: Wire, script: Handler, **settings: object) -> tuple[Outcome, FakeUpstream]:
    """Ask an upstream that follows `script`, through everything that wraps it."""
    async with (
        fake_upstream(script) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url, **settings))) as catalogue,
    ):
        return await ask(catalogue.provider("default")), upstream


# A whole answer


@pytest.mark.feature(27)
async def test_a_whole_answer_is_its_tokens_and_one_finish_as_the_last_piece(wire: Wire) -> None:
    outcome, upstream = await outcome_of(wire, answering(wire))
    assert outcome.error is None
    assert upstream.requests[0].headers["accept-encoding"] == "identity"
    assert outcome.pieces == [*map(Token, WORDS), Finish("stop", Usage(input_tokens=7, output_tokens=4), "up", "gpt-x")]
    assert all(outcome.batches)
    assert len(upstream.requests) == 1


async def test_the_scripted_provider_keeps_the_same_promise() -> None:
    provider = RuntimeProvider(name="up", type=ProviderType.SCRIPTED)
    model = Model(name="default", provider="up", model="count-40@2000")
    async with catalogue_of(config_of(provider, models=[model])) as catalogue:
        outcome = await ask(catalogue.provider("default"))
        assert await catalogue.check() == {"up": Dependency(state=State.UP)}
    assert outcome.text == " ".join(map(str, range(1, 41)))
    assert outcome.pieces[-1] == Finish("stop", Usage(input_tokens=2, output_tokens=40), "up", "count-40@2000")
    assert sum(isinstance(piece, Finish) for piece in outcome.pieces) == 1


async def test_an_answer_is_the_same_when_it_comes_byte_by_byte(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        await reply.head()
        await reply.trickle(wire.preamble + b"".join(whole(wire)))
        await reply.end()

    outcome, _ = await outcome_of(wire, script)
    assert (outcome.error, outcome.text) == (None, "".join(WORDS))


async def test_a_character_that_is_cut_in_half_is_whole_and_a_half_at_the_end_is_replaced(wire: Wire) -> None:
    halves = (rb"A\ud83d", rb"\ude00B", rb"C\ud83d")
    tokens = [wire.escaped(half) for half in halves]
    outcome, _ = await outcome_of(wire, playing(*wire.begin(), *tokens, *wire.finish(), "end"))
    assert (outcome.error, outcome.text) == (None, "A\N{GRINNING FACE}BC\N{REPLACEMENT CHARACTER}")


async def test_one_read_is_one_batch(wire: Wire) -> None:
    outcome, _ = await outcome_of(wire, playing(b"".join(whole(wire)), "end"))
    assert len(outcome.batches) == 1


async def test_connections_are_used_again(wire: Wire) -> None:
    async with (
        fake_upstream(answering(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        for _ in range(3):
            assert (await ask(catalogue.provider("default"))).error is None
        assert (len(upstream.requests), upstream.connections) == (3, 1)


async def test_neither_a_proxy_of_the_environment_nor_a_cookie_is_used(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def script(reply: Reply) -> None:
        await reply.head(Set_Cookie="session=1")
        await reply.send(*whole(wire))
        await reply.end()

    async with (
        fake_upstream(script) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url.replace("127.0.0.1", "localhost")))) as catalogue,
    ):
        for _ in range(2):
            assert (await ask(catalogue.provider("default"))).error is None
        assert "cookie" not in upstream.requests[1].headers


# Endings that are none


BEFORE, MIDDLE, LAST = 0, 2, len(WORDS)
MOMENTS = pytest.mark.parametrize("tokens", [BEFORE, MIDDLE, LAST], ids=["before", "middle", "last"])


def so_far(wire: Wire, tokens: int) -> list[bytes]:
    return [*wire.begin(), *map(wire.token, WORDS[:tokens])]


@MOMENTS
@pytest.mark.parametrize("ending", ["cut", "end"])
async def test_a_stream_that_stops_before_its_finish_is_truncated(wire: Wire, tokens: int, ending: str) -> None:
    outcome, _ = await outcome_of(wire, playing(*so_far(wire, tokens), 0.01, ending))
    assert outcome.code is Code.UPSTREAM_TRUNCATED
    assert outcome.text == "".join(WORDS[:tokens])


@MOMENTS
async def test_silence_ends_a_stream(wire: Wire, tokens: int) -> None:
    timeouts = {"stallSeconds": 0.3} if tokens else {"firstTokenSeconds": 0.1}
    outcome, upstream = await outcome_of(wire, playing(*so_far(wire, tokens), "hang"), timeouts=timeouts)
    assert outcome.code is (Code.UPSTREAM_STALLED if tokens else Code.UPSTREAM_TIMEOUT)
    assert outcome.text == "".join(WORDS[:tokens])
    await upstream.abandoned()


async def test_an_upstream_that_sends_no_headers_is_late(wire: Wire) -> None:
    outcome, upstream = await outcome_of(wire, Reply.hang, timeouts={"firstTokenSeconds": 0.1})
    assert outcome.code is Code.UPSTREAM_TIMEOUT
    await upstream.abandoned()


async def test_comments_are_no_first_token(wire: Wire) -> None:
    script = playing(*[wire.nothing, 0.02] * 20, "hang")
    outcome, _ = await outcome_of(wire, script, timeouts={"firstTokenSeconds": 0.1, "stallSeconds": 5})
    assert outcome.code is Code.UPSTREAM_TIMEOUT


async def test_a_trickle_is_ended_by_the_time_for_the_whole(wire: Wire) -> None:
    trickle = [step for word in WORDS * 20 for step in (0.02, wire.token(word))]
    script = playing(*wire.begin(), *trickle, "hang")
    outcome, upstream = await outcome_of(wire, script, timeouts={"totalSeconds": 0.5, "stallSeconds": 5})
    assert outcome.code is Code.UPSTREAM_TIMEOUT
    assert outcome.text.startswith(WORDS[0])
    await upstream.abandoned()


async def test_a_slow_reader_is_not_taken_for_a_silent_upstream(wire: Wire) -> None:
    trickle = [step for word in WORDS * 2 for step in (0.1, wire.token(word))]
    async with (
        fake_upstream(playing(*wire.begin(), *trickle, *wire.finish(), "end")) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url, timeouts={"stallSeconds": 0.3}))) as catalogue,
        catalogue.provider("default").open(HELLO) as batches,
    ):
        pieces: list[AnswerItem] = []
        async for batch in batches:
            if len(pieces) < 2:
                await asyncio.sleep(0.4)  # a reader that is slower than the deadline between two tokens
            pieces += batch
    assert isinstance(pieces[-1], Finish)


async def test_no_deadline_outlives_its_answer(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that still runs would keep the whole response in memory, for ten minutes by default."""
    alive = WeakSet[Watchdog]()

    class Remembered(Watchdog):
        def __init__(self, on_expiry: Callable[[], None], until: float, code: Code) -> None:
            super().__init__(on_expiry, until, code)
            alive.add(self)

    monkeypatch.setattr("chatfleet_api.providers.upstream.Watchdog", Remembered)
    assert (await outcome_of(wire, answering(wire)))[0].error is None
    gc.collect()
    assert not alive


@MOMENTS
async def test_an_error_inside_the_stream_is_told_after_the_tokens_before_it(wire: Wire, tokens: int) -> None:
    in_one_read = b"".join([*so_far(wire, tokens), wire.error("overloaded_error")])
    outcome, _ = await outcome_of(wire, playing(in_one_read, "hang"))
    assert outcome.code is Code.UPSTREAM_OVERLOADED
    assert outcome.text == "".join(WORDS[:tokens])


@pytest.mark.parametrize("kind", range(3))
async def test_what_cannot_be_read_is_malformed(wire: Wire, kind: int) -> None:
    outcome, upstream = await outcome_of(wire, playing(*so_far(wire, MIDDLE), wire.nonsense[kind], "hang"))
    assert outcome.code is Code.UPSTREAM_MALFORMED
    await upstream.abandoned()


async def test_an_endless_event_is_malformed_and_not_kept(wire: Wire) -> None:
    outcome, _ = await outcome_of(wire, playing(wire.endless, *[b"x" * 600_000] * 40, "hang"))
    assert outcome.code is Code.UPSTREAM_MALFORMED


@pytest.mark.parametrize("headers", [{"content_type": "text/html"}, {"Content_Encoding": "gzip"}])
async def test_only_an_event_stream_is_read(wire: Wire, headers: dict[str, str]) -> None:
    async def script(reply: Reply) -> None:
        await reply.head(**headers)  # type: ignore[arg-type]  # a string each
        await reply.send(*whole(wire))
        await reply.end()

    outcome, _ = await outcome_of(wire, script)
    assert outcome.code is Code.UPSTREAM_MALFORMED


async def test_a_stream_that_is_not_compressed_may_be_called_so(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        await reply.head(Content_Encoding="identity")
        await reply.send(*whole(wire))
        await reply.end()

    outcome, _ = await outcome_of(wire, script)
    assert (outcome.code, outcome.text) == (None, "".join(WORDS))


IN_MID_ANSWER: dict[str, Callable[[Wire], Handler]] = {
    "after the beginning": lambda wire: playing(*wire.begin(), wire.nonsense[0], "end"),
    "in one read": lambda wire: playing(b"".join(wire.begin()) + wire.nonsense[0], "end"),
    "after tokens": lambda wire: playing(*so_far(wire, MIDDLE), wire.nonsense[0], *wire.finish(), "end"),
    "an endless event": lambda wire: playing(*wire.begin(), wire.endless, *[b"x" * 600_000] * 30, "end"),
}
NO_ANSWER: dict[str, Callable[[Wire], Handler]] = {
    "no event": lambda wire: playing(wire.nonsense[0], "end"),
    "a comment first": lambda wire: playing(wire.preamble, wire.nonsense[0], "end"),
    "an event of another protocol": lambda wire: playing(wire.foreign, wire.nonsense[0], "end"),
    "a page": lambda _: refusing(200, b"<html>"),
}


@pytest.mark.parametrize("case", IN_MID_ANSWER)
async def test_data_that_cannot_be_parsed_in_mid_answer_is_not_paid_again_nor_held_against_the_upstream(
    wire: Wire, case: str
) -> None:
    """The answer has begun, so the upstream works and is paid: no retry, no fallback, a closed circuit breaker."""
    meter = RecordingMeter()
    asked = MIN_ATTEMPTS + 2
    async with fake_upstream(IN_MID_ANSWER[case](wire)) as upstream, fake_upstream(answering(wire)) as other:
        providers = (
            provider_of(wire, upstream.url, retries={"max": 3}),
            provider_of(wire, other.url, name="other"),
        )
        models = [
            Model(name="default", provider="up", model="a", fallbacks=["other"]),
            Model(name="other", provider="other", model="b"),
        ]
        async with catalogue_of(config_of(*providers, models=models), meter) as catalogue:
            errors = [(await ask(catalogue.provider("default"))).error for _ in range(asked)]
        assert [error.code for error in errors if error] == [Code.UPSTREAM_MALFORMED] * asked
        assert not any(error.facts.retryable for error in errors if error)  # else the vendors' SDKs pay it again
        assert all(error.detail for error in errors if error)
        assert (len(upstream.requests), len(other.requests)) == (asked, 0)
    assert (meter.retries, meter.circuits) == ([], [])


@pytest.mark.parametrize("case", NO_ANSWER)
async def test_what_is_no_answer_of_the_protocol_is_requested_again(
    wire: Wire, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatfleet_api.providers.policies.retry.backoff", lambda *_: 0.0)
    meter = RecordingMeter()
    async with fake_upstream(NO_ANSWER[case](wire), answering(wire)) as upstream:
        config = config_of(provider_of(wire, upstream.url, retries={"max": 1}))
        async with catalogue_of(config, meter) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert (outcome.error, outcome.text, len(upstream.requests)) == (None, "".join(WORDS), 2)
    assert meter.retries == [("up", "default", Code.UPSTREAM_MALFORMED)]


async def test_what_is_no_answer_of_the_protocol_opens_the_circuit(wire: Wire) -> None:
    meter = RecordingMeter()
    async with fake_upstream(playing(wire.nonsense[0], "end")) as upstream:
        async with catalogue_of(config_of(provider_of(wire, upstream.url)), meter) as catalogue:
            codes = [(await ask(catalogue.provider("default"))).code for _ in range(MIN_ATTEMPTS + 1)]
        assert codes == [Code.UPSTREAM_MALFORMED] * MIN_ATTEMPTS + [Code.UPSTREAM_CIRCUIT_OPEN]
    assert meter.circuits == [("up", True)]


async def test_broken_http_ends_a_stream(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        await reply.head()
        await reply.send(*so_far(wire, MIDDLE))
        await reply.raw(b"this is no chunk\r\n")
        await reply.hang()

    outcome, _ = await outcome_of(wire, script)
    assert outcome.code is Code.UPSTREAM_TRUNCATED
    assert outcome.text == "".join(WORDS[:MIDDLE])


async def test_a_connection_that_breaks_while_the_reader_is_busy_is_no_end_either(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        await reply.head()
        await reply.send(*so_far(wire, MIDDLE))
        await reply.raw(b"this is no chunk\r\n")
        await reply.hang()

    async with (
        fake_upstream(script) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
        catalogue.provider("default").open(HELLO) as batches,
    ):
        await anext(batches)
        await asyncio.sleep(0.05)  # the connection breaks meanwhile
        with pytest.raises(ChatError) as caught:
            await anext(batches)
    assert caught.value.code is Code.UPSTREAM_TRUNCATED


async def test_what_breaks_after_the_answer_is_whole_breaks_nothing(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        await reply.head()
        await reply.send(*whole(wire))
        await reply.raw(b"this is no chunk\r\n")
        await reply.hang()

    async with (
        fake_upstream(script) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
        catalogue.provider("default").open(HELLO) as batches,
    ):
        pieces: list[AnswerItem] = []
        async for batch in batches:
            await asyncio.sleep(0.05)  # what breaks arrives meanwhile
            pieces += batch
    assert isinstance(pieces[-1], Finish)


async def test_what_is_not_even_http_is_unavailable(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        await reply.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    outcome, _ = await outcome_of(wire, script)
    assert outcome.code is Code.UPSTREAM_UNAVAILABLE


# Refusals


REFUSALS = {
    400: Code.UPSTREAM_REJECTED,
    401: Code.UPSTREAM_AUTHENTICATION,
    403: Code.UPSTREAM_AUTHENTICATION,
    404: Code.MODEL_NOT_FOUND,
    413: Code.CONTEXT_TOO_LONG,
    418: Code.UPSTREAM_REJECTED,
    429: Code.UPSTREAM_RATE_LIMITED,
    500: Code.UPSTREAM_ERROR,
    502: Code.UPSTREAM_UNAVAILABLE,
    503: Code.UPSTREAM_OVERLOADED,
    504: Code.UPSTREAM_TIMEOUT,
    529: Code.UPSTREAM_OVERLOADED,
}


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_is_told_apart_by_its_status(wire: Wire, status: int) -> None:
    outcome, _ = await outcome_of(wire, refusing(status, Retry_After="7"))
    assert outcome.error is not None
    assert (outcome.code, outcome.error.retry_after) == (REFUSALS[status], 7)


async def test_an_endless_refusal_is_read_only_so_far(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        await reply.head(500, "text/plain")
        while True:
            await reply.send(b"x" * 60_000)

    outcome, upstream = await outcome_of(wire, script)
    assert outcome.code is Code.UPSTREAM_ERROR
    await upstream.abandoned()


async def test_no_redirect_is_followed(wire: Wire) -> None:
    async with fake_upstream(answering(wire)) as other:
        outcome, _ = await outcome_of(wire, refusing(307, Location=f"{other.url}/v1/chat/completions"))
        assert outcome.code is Code.UPSTREAM_UNAVAILABLE
        assert other.requests == []


async def test_nobody_there_is_unavailable(wire: Wire) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with catalogue_of(config_of(provider_of(wire, f"http://127.0.0.1:{port}"))) as catalogue:
        assert (await ask(catalogue.provider("default"))).code is Code.UPSTREAM_UNAVAILABLE


async def test_a_connection_that_does_not_open_is_given_up(wire: Wire) -> None:
    with socket.socket() as server, socket.socket() as taken:
        server.bind(("127.0.0.1", 0))
        server.listen(0)  # one connection waits to be accepted, and the next one's handshake is never answered
        taken.connect(server.getsockname())
        url = "http://{}:{}".format(*server.getsockname())
        async with catalogue_of(config_of(provider_of(wire, url, timeouts={"connectSeconds": 0.1}))) as catalogue:
            assert (await ask(catalogue.provider("default"))).code is Code.UPSTREAM_TIMEOUT


async def test_a_connection_closed_without_an_answer_is_unavailable(wire: Wire) -> None:
    async def script(reply: Reply) -> None:
        reply.cut()

    outcome, _ = await outcome_of(wire, script)
    assert outcome.code is Code.UPSTREAM_UNAVAILABLE


# Leaving


async def leaving(wire: Wire, script: Handler, **settings: object) -> FakeUpstream:
    """Ask, cancel once that has been heard, and return the upstream; the one slot must be free then, and nobody ask."""
    async with fake_upstream(script) as upstream:
        settings = {"maxConcurrentRequests": 1} | settings
        async with catalogue_of(config_of(provider_of(wire, upstream.url, **settings))) as catalogue:
            provider = catalogue.provider("default")
            asking = asyncio.ensure_future(ask(provider))
            await upstream.asked()
            await asyncio.sleep(0.05)  # what the upstream has sent arrives meanwhile
            asking.cancel()
            await asyncio.wait([asking])
            await asyncio.sleep(0.05)  # a retry, if there was one, would have arrived
            assert len(upstream.requests) == 1
            upstream.answers(answering(wire))
            assert (await ask(provider)).error is None
        return upstream


@pytest.mark.feature(20)
async def test_cancelling_before_the_headers_closes_the_connection(wire: Wire) -> None:
    await (await leaving(wire, Reply.hang)).abandoned()


async def test_cancelling_in_mid_answer_closes_the_connection(wire: Wire) -> None:
    await (await leaving(wire, playing(*so_far(wire, MIDDLE), "hang"))).abandoned()


async def test_cancelling_between_two_attempts_ends_them(wire: Wire) -> None:
    retries = {"max": 3, "initialSeconds": 1, "maxSeconds": 1}
    assert (await leaving(wire, refusing(503), retries=retries)).open <= 1


async def test_leaving_in_mid_answer_closes_the_connection(wire: Wire) -> None:
    async with (
        fake_upstream(playing(*so_far(wire, MIDDLE), "hang")) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        async with catalogue.provider("default").open(HELLO) as batches:
            await anext(batches)
        await upstream.abandoned()


# Retries, fallbacks, measurements: over the wire


async def test_a_failure_before_the_first_token_is_tried_again(wire: Wire) -> None:
    meter = RecordingMeter()
    async with fake_upstream(refusing(503, retry_after_ms="1"), answering(wire)) as upstream:
        config = config_of(provider_of(wire, upstream.url, retries={"max": 1}))
        async with catalogue_of(config, meter) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert (outcome.error, outcome.text, len(upstream.requests)) == (None, "".join(WORDS), 2)
    assert meter.attempts == [("up", "default", Code.UPSTREAM_OVERLOADED), ("up", "default", None)]
    assert meter.retries == [("up", "default", Code.UPSTREAM_OVERLOADED)]
    assert meter.usage == [Usage(input_tokens=7, output_tokens=4)]


async def test_a_failure_after_the_first_token_is_not(wire: Wire) -> None:
    script = playing(*so_far(wire, MIDDLE), 0.01, "cut")
    outcome, upstream = await outcome_of(wire, script, retries={"max": 3})
    assert (outcome.code, len(upstream.requests)) == (Code.UPSTREAM_TRUNCATED, 1)


async def test_the_next_model_answers_when_one_fails(wire: Wire) -> None:
    async with fake_upstream(refusing(401)) as broken, fake_upstream(answering(wire)) as sound:
        providers = (provider_of(wire, broken.url), provider_of(wire, sound.url, name="sound"))
        models = [
            Model(name="default", provider="up", model="a", fallbacks=["other"]),
            Model(name="other", provider="sound", model="b"),
        ]
        async with catalogue_of(config_of(*providers, models=models)) as catalogue:
            outcome = await ask(catalogue.provider("default"))
    assert (outcome.error, outcome.text) == (None, "".join(WORDS))
    assert (len(broken.requests), len(sound.requests)) == (1, 1)


# Keys and checks


def credentials(request: Request) -> set[str]:
    """Return the values of all headers, without the scheme of a bearer token: one is the key, whatever its name."""
    return {value.removeprefix("Bearer ") for value in request.headers.values()}


async def test_a_key_is_read_again_when_its_file_changes(wire: Wire, tmp_path: Path) -> None:
    path = key_file(tmp_path, "first\n")
    async with (
        fake_upstream(answering(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url, apiKeyFile=path))) as catalogue,
    ):
        await ask(catalogue.provider("default"))
        key_file(tmp_path, "the second")
        await ask(catalogue.provider("default"))
    keys = {"first", "the second"}
    assert [credentials(request) & keys for request in upstream.requests] == [{"first"}, {"the second"}]


async def test_a_key_that_was_refused_is_read_again_even_if_its_file_looks_the_same(wire: Wire, tmp_path: Path) -> None:
    async with (
        fake_upstream(refusing(401), answering(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url, apiKeyFile=key_file(tmp_path, "old")))) as catalogue,
    ):
        assert (await ask(catalogue.provider("default"))).code is Code.UPSTREAM_AUTHENTICATION
        key_file(tmp_path, "new")
        assert (await ask(catalogue.provider("default"))).error is None
    assert [credentials(request) & {"old", "new"} for request in upstream.requests] == [{"old"}, {"new"}]


async def test_a_missing_key_names_its_file_to_the_operator_only(wire: Wire) -> None:
    outcome, upstream = await outcome_of(wire, answering(wire), apiKeyFile="/nowhere/api-key")
    assert (outcome.code, upstream.requests) == (Code.UPSTREAM_AUTHENTICATION, [])
    assert outcome.error is not None
    assert "/nowhere/api-key" in (outcome.error.detail or "")
    assert "/nowhere" not in outcome.error.message


async def test_no_word_of_a_key_is_told(wire: Wire, tmp_path: Path) -> None:
    said = b'{"error":{"message":"You sent k-123, bad boy","type":"invalid_request_error"}}'
    outcome, _ = await outcome_of(wire, refusing(400, said), apiKeyFile=key_file(tmp_path))
    assert outcome.error is not None
    assert outcome.error.message == "You sent [hidden], bad boy"
    assert "k-123" not in str(outcome.error)


async def checked(wire: Wire, script: Handler, **settings: object) -> Dependency:
    async with (
        fake_upstream(script) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url, **settings))) as catalogue,
    ):
        return (await catalogue.check())["up"]


async def test_a_check_tells_who_is_there_and_takes_the_key(wire: Wire) -> None:
    assert (await checked(wire, refusing(200))).state is State.UP
    for status in (401, 403, 500, 503, 302):
        seen = await checked(wire, refusing(status, Location="/elsewhere"))
        assert seen.state is State.DOWN
        assert str(status) in (seen.message or "")
    assert (await checked(wire, refusing(200), apiKeyFile="/nowhere")).state is State.DOWN


async def test_a_check_finds_a_wrong_address_except_where_a_list_of_models_may_be_missing(wire: Wire) -> None:
    state = State.UP if wire.type is ProviderType.OPENAI_COMPATIBLE else State.DOWN
    for status in (404, 405):
        assert (await checked(wire, refusing(status))).state is state


async def test_what_cannot_be_asked_is_refused_before_anybody_is_asked() -> None:
    request = ChatRequest("default", (Message("user", "Hi."),), response_format={"type": "json_object"})
    wire = wire_of(ProviderType.ANTHROPIC)
    async with (
        fake_upstream(answering(wire)) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"), request)
    assert outcome.error is not None
    assert (outcome.code, outcome.error.param) == (Code.INVALID_REQUEST, "response_format")
    assert upstream.connections == 0
