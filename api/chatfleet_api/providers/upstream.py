"""An upstream over HTTP: one POST, its answer read as bytes under deadlines, its connection closed on every way out.

What differs from vendor to vendor (URLs, authentication, framing, bodies, events) is a row of `vendors.table`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.deadline import Watchdog
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.credentials import FileCredential
from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.provider import GeneratorOpening, ItemBatch, Opening, StreamItem
from chatfleet_api.providers.refusals import Refusals
from chatfleet_api.providers.upstream_errors import MAX_BODY_BYTES, clean, from_response
from chatfleet_api.providers.vendor import Framing, HTTPRequest, StreamParser, Vendor
from chatfleet_api.providers.whole import MEDIA_TYPE, WholeFraming, WholeParser, requested_once
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import PROVIDER_TYPES

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 10.0
"""How long a check may take in all."""

DRAIN_SECONDS: Final = 0.1
"""How long to wait, once the answer is whole, for the end of the response that lets its connection be used again."""

ENDING_SECONDS: Final = 2.0
"""How long to wait for the usage and the mark of the end after a reason to finish: some servers send neither."""

_BROKEN: Final = (BrokenError, OSError, RuntimeError)
"""Errors of a connection that was not opened, or is lost: uvloop raises the bare one after a reset."""

_HEADERS: Final = MappingProxyType(
    {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "chatfleet"}
)

_ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


def connect(vendor: Vendor, provider: RuntimeProvider, environment: Environment) -> "Upstream":
    """Return the upstream of `provider`; raise `ValueError` when a setting is missing that its type requires."""
    root = (provider.base_url or "").rstrip("/") or vendor.base_url
    part, field = PROVIDER_TYPES[provider.type].settings or ("type", "")
    if root is None:
        raise ValueError(f"provider {provider.name}: type {provider.type} needs baseURL; add it")
    if getattr(provider, part) is None:
        raise ValueError(f"provider {provider.name}: type {provider.type} needs {part}.{field}; add it")
    return Upstream(environment.connections, vendor, provider, root=root)


class Upstream:
    """A `Provider` at the other end of a network connection."""

    def __init__(self, connections: ConnectionPool, vendor: Vendor, provider: RuntimeProvider, *, root: str) -> None:
        """Send requests below `root`; the connections are shared with other upstreams."""
        self._connections = connections
        self._vendor = vendor
        self._credential = FileCredential(provider.api_key_file)
        self._timeouts = provider.timeouts
        self._compatibility = provider.compatibility
        self._refusals = Refusals(provider.compatibility, lambda: asyncio.get_running_loop().time())
        self._root = vendor.root(root)
        self._query = vendor.query(provider)

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
        response, whole = await self._send(request, until)
        parser, framing = self._reader(request, whole=whole)
        watchdog = Watchdog(response.close, until, Code.UPSTREAM_TIMEOUT)
        try:
            while not parser.done:
                try:
                    data = await response.read()
                except _BROKEN as error:
                    if watchdog.expired and parser.is_ending:
                        yield [parser.end()]
                        return
                    code = watchdog.expired or Code.UPSTREAM_TRUNCATED
                    raise ChatError(code, detail=clean(f"{type(error).__name__}: {error}")) from error
                items, failure = _parse(parser, framing, data)
                if items:
                    watchdog.move(ends, Code.UPSTREAM_TIMEOUT)  # while the reader is busy, the upstream is not to blame
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
            self._connections.release(response)
            if parser.left_out:
                names = ", ".join(sorted(parser.left_out))
                logger.warning("An answer of model %s had parts that were left out: %s", request.model, names)

    async def check(self) -> str | None:
        """Prove that the upstream is reachable and accepts the key, and has not refused all that was requested.

        Returns what was not proven, or what it refused.
        """
        key = self._credential.read()
        url = f"{self._root}{self._vendor.models_path}{self._query}"
        headers = {**_HEADERS, **self._vendor.headers(None)}
        with _translated():
            async with asyncio.timeout(CHECK_SECONDS):
                response = await self._request(HTTPRequest("GET", url, headers), key, CHECK_SECONDS)
                try:
                    unproven = await self._require_models(response, url, key)
                finally:
                    self._connections.release(response)
        verdict = self._refusals.verdict(key)
        if verdict.down:
            raise ChatError(Code.UPSTREAM_REJECTED, detail=verdict.reasons)
        return verdict.reasons or unproven

    async def _require_models(self, response: Connection, url: str, key: SecretStr | None) -> str | None:
        """Raise what the list of models shows; return what it does not, where it may be missing."""
        kind = response.headers.get("content-type", "").lower()
        is_page = response.status == HTTPStatus.OK and kind.startswith("text/html")  # of a site, not of an API
        if response.status not in _ABSENT and not is_page:
            await self._require_ok(response, key)
            return None
        seen = f"GET {url} returned HTTP {response.status}{' with a web page' if is_page else ''}"
        if self._vendor.lists_models:
            raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=f"{seen}; correct baseURL")
        if self._refusals.any_answered:
            return None
        return f"only the connection was checked, because {seen}; requests will show whether baseURL and key are valid"

    async def _require_answer(self, request: ChatRequest, response: Connection, key: SecretStr | None) -> None:
        """Raise what an error response means, with its remedy; remember whether other requests would get it too."""
        try:
            await self._require_ok(response, key)
        except ChatError as error:
            raise self._refusals.learned(request.model, error, status=response.status, key=key) from None
        self._refusals.answered(request.model)

    def _reader(self, request: ChatRequest, *, whole: bool) -> tuple[StreamParser, Framing]:
        """Return what reads the answer: a stream, or one document."""
        parser, events_of = self._vendor.parser(request), self._vendor.events_of
        if whole and events_of:
            return WholeParser(parser), WholeFraming(events_of)
        return parser, self._vendor.framing()

    async def _send(self, request: ChatRequest, until: float) -> tuple[Connection, bool]:
        """Return the connection on which the answer begins, and whether it is one document; its caller releases it."""
        key = self._credential.read()
        url, body = (
            f"{self._root}{self._vendor.path(request)}{self._query}",
            self._vendor.body(request, self._compatibility),
        )
        headers = {**_HEADERS, "Content-Type": "application/json", **self._vendor.headers(request)}
        with _translated():
            async with asyncio.timeout_at(until):
                response = await self._request(
                    HTTPRequest("POST", url, headers, body), key, self._timeouts.connect_seconds
                )
                try:
                    await self._require_answer(request, response, key)
                    whole = _is_whole(response, self._vendor, streams=self._compatibility.stream)
                    response.forget_headers()
                except BaseException:  # cancellation too: no way out leaks the connection
                    self._connections.release(response)
                    raise
        return response, whole

    async def _request(self, request: HTTPRequest, key: SecretStr | None, connect_seconds: float) -> Connection:
        method, url, headers, body = request
        signed = {**headers, **self._vendor.authenticate(key, request)}
        return await self._connections.request(method, url, signed, body, connect_seconds=connect_seconds)

    async def _require_ok(self, response: Connection, key: SecretStr | None) -> None:
        """Raise what an error response means."""
        if response.status == HTTPStatus.OK:
            return
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._credential.forget()
        body = b""
        while len(body) < MAX_BODY_BYTES and (more := await response.read()):
            body += more
        hidden = (key.get_secret_value(),) if key else ()
        headers = {"date": formatdate(usegmt=True), **response.headers}  # ours where the server sends none
        raise from_response(response.status, headers, body, hidden=hidden, codes=self._vendor.error_codes)


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


@contextmanager
def _translated() -> Iterator[None]:
    """Translate what can go wrong before the first byte of an answer."""
    try:
        yield
    except TimeoutError as error:
        raise ChatError(Code.UPSTREAM_TIMEOUT, detail=clean(f"no answer in time {error}")) from error
    except _BROKEN as error:
        raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=clean(f"{type(error).__name__}: {error}")) from error


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
    except (TimeoutError, *_BROKEN):
        return  # the connection is closed instead of kept; the answer is none the worse
