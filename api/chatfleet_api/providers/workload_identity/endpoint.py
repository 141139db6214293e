"""Requests for credentials: one request, its deadline, and what a refusal means."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.upstream_client import read_body, translated
from chatfleet_api.providers.upstream_errors import MAX_BODY_BYTES, clean
from chatfleet_api.providers.vendor import HTTPRequest

FETCH_SECONDS: Final = 10.0
"""How long a request may take in all."""

_MAY_PASS: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class Sought(NamedTuple):
    """What a request is for, in the words of an error."""

    what: str
    remedy: str
    words: Callable[[bytes], str]
    """Returns the server's own words in the body of a refusal."""


async def fetch(
    connections: ConnectionPool, request: HTTPRequest, sought: Sought, *, hidden: tuple[str, ...] = ()
) -> bytes:
    """Return the body of a successful response; raise `ChatError` with the server's own words, without `hidden`."""
    method, url, headers, body = request
    with translated():
        async with asyncio.timeout(FETCH_SECONDS):
            response = await connections.request(method, url, headers, body, connect_seconds=FETCH_SECONDS)
            try:
                answer = await read_body(response, MAX_BODY_BYTES)
            finally:
                connections.release(response)
    if response.status == HTTPStatus.OK:
        return answer
    host, words = urlsplit(url).hostname, sought.words(answer).rstrip(". \n")
    refused = f"{host} returned HTTP {response.status} for {sought.what}: {words}"
    is_ours = HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_ours and response.status not in _MAY_PASS:
        raise unusable(f"{refused}; {sought.remedy}", hidden)
    raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=clean(refused, hidden))


def read_token(path: str) -> str:
    """Return the text of a file that its writer replaces now and then."""
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(f"the token of the ServiceAccount in {path} cannot be read") from error


def unusable(why: str, hidden: tuple[str, ...] = ()) -> ChatError:
    """Return the error of credentials that no later attempt will bring."""
    return ChatError(Code.UPSTREAM_AUTHENTICATION, detail=clean(why, hidden))
