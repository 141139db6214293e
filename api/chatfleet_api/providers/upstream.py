"""An upstream over HTTP: one POST, its answer read as bytes under deadlines, its connection closed on every way out.

What differs from vendor to vendor (URLs, authentication, framing, bodies, events) is a row of `vendors.table`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection
from dataclasses import replace
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.connection import Connection
from chatfleet_api.http.deadline import Watchdog
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.outcomes import Attempt, Outcomes
from chatfleet_api.providers.policies.quota import answering
from chatfleet_api.providers.provider import GeneratorOpening, ItemBatch, Opening, StreamItem
from chatfleet_api.providers.refusals import explained, no_embeddings
from chatfleet_api.providers.upstream_check import UpstreamCheck
from chatfleet_api.providers.upstream_client import BROKEN, UpstreamClient, read_whole, translated
from chatfleet_api.providers.upstream_errors import clean
from chatfleet_api.providers.vendor import Framing, StreamParser, Vendor
from chatfleet_api.providers.whole import MEDIA_TYPE, WholeFraming, WholeParser, requested_once
from chatfleet_api.providers.workload_identity.authentication import TokenAuthentication
from chatfleet_api.usage.attempts import accepted
from chatfleet_contract.report import ModelOutcome
from chatfleet_contract.runtime import RuntimeProvider

logger = logging.getLogger(__name__)

MAX_EMBEDDINGS_BYTES: Final = 64 * 1024 * 1024
"""Most that an answer with embeddings may have: 2,048 vectors of 1,536 floats as text."""

DRAIN_SECONDS: Final = 0.1
"""How long to wait, once the answer is whole, for the end of the response that lets its connection be used again."""

COUNT_SECONDS: Final = 10.0
"""How long a count of tokens may take in all."""

ENDING_SECONDS: Final = 2.0
"""How long to wait for the usage and the mark of the end after a reason to finish: some servers send neither."""


def connect(vendor: Vendor, provider: RuntimeProvider, environment: Environment) -> "Upstream":
    """Return the upstream of `provider`; raise `ValueError` when its type requires a URL and it has none."""
    root = (provider.base_url or "").rstrip("/") or vendor.base_url
    if root is None:
        raise ValueError(f"provider {provider.name}: type {provider.type} needs baseURL; add it")
    identity = provider.workload_identity
    if identity and not identity.aws:
        tokens = TokenAuthentication(provider, identity, environment, root=vendor.root(root))
        vendor = replace(vendor, authentication=tokens)
    client = UpstreamClient(environment.connections, vendor, provider, root=root)
    outcomes = Outcomes(provider.compatibility, environment.clock, environment.recheck)
    return Upstream(client, vendor, provider, outcomes)


class Upstream:
    """A `Provider` at the other end of a network connection."""

    def __init__(self, client: UpstreamClient, vendor: Vendor, provider: RuntimeProvider, outcomes: Outcomes) -> None:
        self._client = client
        self._vendor = vendor
        self._timeouts = provider.timeouts
        self._compatibility = provider.compatibility
        self._outcomes = outcomes
        self._check = UpstreamCheck(client, vendor, outcomes)

    def open(self, request: ChatRequest) -> Opening:
        batches = self._batches(request)
        if not self._compatibility.stream:
            batches = requested_once(batches, self._timeouts.total_seconds)
        return GeneratorOpening(batches)

    async def _batches(self, request: ChatRequest) -> AsyncGenerator[ItemBatch, None]:
        time = asyncio.get_running_loop().time
        ends = time() + self._timeouts.total_seconds
        until, begun = ends, False
        if self._compatibility.stream:  # else the first token comes with the last
            until = min(ends, time() + self._timeouts.first_token_seconds)
        with self._outcomes.attempt(request.model) as attempt:
            response, whole = await self._send(request, until, attempt)
            accepted()
            answering()
            parser, framing = self._reader(request, whole=whole)
            watchdog = Watchdog(response.close, until, Code.UPSTREAM_TIMEOUT)
            try:
                while not parser.done:
                    try:
                        data = await response.read()
                    except BROKEN as error:
                        if watchdog.expired and parser.is_ending:
                            yield [parser.end()]
                            return
                        code = watchdog.expired or Code.UPSTREAM_TRUNCATED
                        raise ChatError(code, detail=clean(f"{type(error).__name__}: {error}")) from error
                    items, failure = _parse(parser, framing, data)
                    if items:
                        watchdog.move(ends, Code.UPSTREAM_TIMEOUT)  # a busy reader is not the upstream's fault
                        if not begun:
                            attempt.answered()
                        yield items
                        begun = True
                    if failure:
                        failure.answered = parser.has_begun
                        raise failure
                    stalls = time() + self._timeouts.stall_seconds
                    if parser.is_ending:
                        ends = stalls = min(ends, time() + ENDING_SECONDS)  # once: what still comes does not move it
                    begun = begun or parser.is_holding
                    if (begun or parser.is_ending) and stalls <= ends:
                        watchdog.move(stalls, Code.UPSTREAM_STALLED)
                await _drain(response)
            finally:
                watchdog.stop()
                self._client.release(response)
                _log_left_out(request.model, parser)

    async def embed(self, model: str, body: bytes) -> bytes:
        """Return the answer to a request for embeddings; see `Backend.embed`."""
        if self._vendor.embeddings_path is None:
            raise no_embeddings(model)
        path = self._vendor.embeddings_path(model)
        with self._outcomes.attempt(model) as attempt, translated():
            key = attempt.key = self._client.key()
            async with asyncio.timeout(self._timeouts.total_seconds):
                response = await self._client.post_to(path, body, key)
                try:
                    attempt.status = response.status
                    await self._client.require_ok(response, key)
                    answer = await read_whole(response, MAX_EMBEDDINGS_BYTES)
                finally:
                    self._client.release(response)
            attempt.answered()
        return answer

    async def check(self, models: Collection[str] = ()) -> str | None:
        """Prove what costs nothing; see `UpstreamCheck.run`."""
        return await self._check.run(models)

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Return the upstream's count of the tokens of `request`; None: it has none. Raises `ChatError`."""
        counting = self._vendor.count(request)
        return None if counting is None else await self._client.count(*counting, request=request, seconds=COUNT_SECONDS)

    def require_supported(self, request: ChatRequest) -> None:
        """Raise `ChatError(INVALID_REQUEST)` for a part of `request` that the upstream's API does not have."""
        self._vendor.body(request, self._compatibility)

    def outcome(self, model: str) -> ModelOutcome | None:
        return self._outcomes.outcome(model)

    def _reader(self, request: ChatRequest, *, whole: bool) -> tuple[StreamParser, Framing]:
        """Return what reads the answer: a stream, or one document."""
        parser, events_of = self._vendor.parser(request), self._vendor.events_of
        if whole and events_of:
            return WholeParser(parser), WholeFraming(events_of)
        return parser, self._vendor.framing()

    async def _send(self, request: ChatRequest, until: float, attempt: Attempt) -> tuple[Connection, bool]:
        """Return the connection on which the answer begins, and whether it is one document; its caller releases it."""
        key = attempt.key = self._client.key()
        body = self._vendor.body(request, self._compatibility)
        with translated():
            async with asyncio.timeout_at(until):
                response = await self._client.post(request, body, key)
                attempt.status = response.status
                try:
                    await self._client.require_ok(response, key)
                    whole = _is_whole(response, self._vendor, streams=self._compatibility.stream)
                    response.forget_headers()
                except ChatError as error:
                    self._client.release(response)
                    raise explained(error, self._compatibility) from None
                except BaseException:  # cancellation too: no way out leaks the connection
                    self._client.release(response)
                    raise
        return response, whole


def _log_left_out(model: str, parser: StreamParser) -> None:
    if parser.left_out:
        names = ", ".join(sorted(parser.left_out))
        logger.warning("An answer of model %s had parts that were left out: %s", model, names)


def _is_whole(response: Connection, vendor: Vendor, *, streams: bool) -> bool:
    """Return whether the answer is one document, also from an upstream that ignores the wish for a stream."""
    kind, coding = (response.headers.get(name, "") for name in ("content-type", "content-encoding"))
    coding = "" if coding.strip().lower() == "identity" else coding
    media_type = kind.partition(";")[0].strip().lower()
    if media_type == vendor.media_type and not coding:
        return False
    if coding or not vendor.events_of or (streams and media_type != MEDIA_TYPE):
        expected = vendor.media_type if streams else MEDIA_TYPE
        raise ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"expected {expected}, not {kind} {coding}"))
    return True


def _parse(parser: StreamParser, framing: Framing, data: bytes) -> tuple[list[StreamItem], ChatError | None]:
    """Return the items in `data`, and the failure that follows them if there is one."""
    items: list[StreamItem] = []
    try:
        for payload in framing.feed(data):
            parser.read(payload, items)
            if parser.done:
                return items, None
        if not data:
            items.append(parser.end())
    except ChatError as failure:
        return items, failure
    return items, None


async def _drain(response: Connection) -> None:
    """Read to the end of a response whose answer is whole, if the end comes soon."""
    if response.whole:
        return
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while await response.read():
                pass
    except (TimeoutError, *BROKEN):
        return  # the connection is closed instead of kept; the answer is none the worse
