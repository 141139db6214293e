"""Requests to one upstream: its URLs, its key, and what an error response or a lost connection means."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec
from pydantic import SecretStr

from chatfleet_api.domain import trace
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.connection import BrokenError, Connection
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.credentials import FileCredential
from chatfleet_api.providers.upstream_errors import MAX_BODY_BYTES, clean, from_response
from chatfleet_api.providers.vendor import NO_HEADERS, HTTPRequest, Vendor
from chatfleet_contract.runtime import RuntimeProvider

BROKEN: Final = (BrokenError, OSError, RuntimeError)
"""Errors of a connection that was not opened, or is lost: uvloop raises the bare one after a reset."""

_HEADERS: Final = MappingProxyType(
    {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "chatfleet"}
)


class _Count(msgspec.Struct):
    input_tokens: int


class UpstreamClient:
    """Sends authenticated requests below the root of an upstream. Its caller releases what it returns."""

    def __init__(self, connections: ConnectionPool, vendor: Vendor, provider: RuntimeProvider, *, root: str) -> None:
        """Send requests below `root`; the connections are shared with other upstreams."""
        self._connections = connections
        self._vendor = vendor
        self._credential = FileCredential(provider.api_key_file)
        self._connect_seconds = provider.timeouts.connect_seconds
        self._root = vendor.root(root)
        self._query = vendor.query(provider)

    def key(self) -> SecretStr | None:
        """Return the key; raise `ChatError(UPSTREAM_AUTHENTICATION)` when there is none that can be sent."""
        return self._credential.read()

    @property
    def unrenewed(self) -> str | None:
        """Return why the credentials in use were not fetched again; None: they were, or need not be."""
        authentication = self._vendor.authentication
        return authentication.failure if authentication else None

    def url(self, path: str) -> str:
        return f"{self._root}{path}{self._query}"

    async def get(self, path: str, key: SecretStr | None, *, connect_seconds: float) -> Connection:
        headers = {**_HEADERS, **self._vendor.headers(None)}
        return await self._request(HTTPRequest("GET", self.url(path), headers), key, connect_seconds)

    async def post(self, request: ChatRequest, body: bytes, key: SecretStr | None) -> Connection:
        return await self.post_to(self._vendor.path(request), body, key, headers=self._vendor.headers(request))

    async def post_to(
        self, path: str, body: bytes, key: SecretStr | None, *, headers: Mapping[str, str] = NO_HEADERS
    ) -> Connection:
        """Send a request to another path than that of answers."""
        all_headers = {**_HEADERS, "Content-Type": "application/json", **headers}
        return await self._request(HTTPRequest("POST", self.url(path), all_headers, body), key, self._connect_seconds)

    async def count(self, path: str, body: bytes, *, request: ChatRequest, seconds: float) -> int:
        """Return a count of tokens; raise `ChatError` when there is none in time."""
        key = self.key()
        headers = {**_HEADERS, "Content-Type": "application/json", **self._vendor.headers(request)}
        with translated():
            async with asyncio.timeout(seconds):
                sent = HTTPRequest("POST", self.url(path), headers, body)
                response = await self._request(sent, key, self._connect_seconds)
                try:
                    await self.require_ok(response, key)
                    return msgspec.json.decode(await read_body(response, MAX_BODY_BYTES), type=_Count).input_tokens
                except msgspec.DecodeError as error:
                    raise ChatError(Code.UPSTREAM_MALFORMED, detail=clean(f"not a count of tokens: {error}")) from error
                finally:
                    self.release(response)

    def release(self, response: Connection) -> None:
        self._connections.release(response)

    async def require_ok(self, response: Connection, key: SecretStr | None) -> None:
        """Raise what an error response means."""
        if response.status == HTTPStatus.OK:
            return
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._credential.forget()
        authentication = self._vendor.authentication
        if authentication and response.status in authentication.rejected_by:
            authentication.reject()
        body = await read_body(response, MAX_BODY_BYTES)
        hidden: tuple[str, ...] = (key.get_secret_value(),) if key else ()
        if authentication:
            hidden += authentication.hidden
        headers = {"date": formatdate(usegmt=True), **response.headers}  # ours where the server sends none
        raise from_response(response.status, headers, body, hidden=hidden, codes=self._vendor.error_codes)

    async def _request(self, request: HTTPRequest, key: SecretStr | None, connect_seconds: float) -> Connection:
        method, url, headers, body = request
        authentication = self._vendor.authentication
        proof = (
            await authentication.headers(key, request) if authentication else self._vendor.authenticate(key, request)
        )
        return await self._connections.request(
            method, url, {**headers, **proof, **trace.headers()}, body, connect_seconds=connect_seconds
        )


async def read_body(response: Connection, most: int) -> bytes:
    """Return the body, or a little more than its first `most` bytes."""
    body = b""
    while len(body) < most and (more := await response.read()):
        body += more
    return body


async def read_whole(response: Connection, most: int) -> bytes:
    """Return the body; raise `ChatError(UPSTREAM_MALFORMED)` when it has more than `most` bytes."""
    parts: list[bytes] = []
    size = 0
    while part := await response.read():
        size += len(part)
        if size > most:
            raise ChatError(Code.UPSTREAM_MALFORMED, detail=f"the answer has more than {most} bytes")
        parts.append(part)
    return b"".join(parts)


@contextmanager
def translated() -> Iterator[None]:
    """Translate what can go wrong before the first byte of an answer."""
    try:
        yield
    except TimeoutError as error:
        raise ChatError(Code.UPSTREAM_TIMEOUT, detail=clean(f"no answer in time {error}")) from error
    except BROKEN as error:
        raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=clean(f"{type(error).__name__}: {error}")) from error
