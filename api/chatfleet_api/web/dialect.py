"""A dialect: the API that clients of one kind speak. Its package (`dialects/<dialect>`) registers one `Dialect`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter

from chatfleet_api.web.error_format import ErrorFormat
from chatfleet_api.web.hot_route import HotRoute
from chatfleet_api.web.quota import QuotaHeaders, openai_headers
from chatfleet_api.web.services import Services


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """All that the application, the errors and the activator need of a dialect."""

    prefix: str
    """Owns this path and all below it, but for those that a longer prefix owns. Empty: every path."""
    errors: ErrorFormat
    wants_stream: Callable[[str, bytes], bool]
    """Returns whether a request is for a stream, given its `Accept` header (empty: none) and its unchecked body.

    The activator decides by it before a pod reads the request. A body that the dialect rejects must not make it raise.
    """
    hot_routes: Callable[[Services], Sequence[HotRoute]]
    """The routes that are called for every answer."""
    routers: Callable[[Services], Sequence[APIRouter]] = lambda _: ()
    """FastAPI's, for all others."""
    bodies: tuple[type[msgspec.Struct], ...] = ()
    """Bodies of requests and responses, for the OpenAPI document."""
    request_id_header: bytes | None = None
    """The vendor's name of the header with the request's id, beside ours."""
    quota_headers: QuotaHeaders = openai_headers
    """What is left to a caller, as headers."""
    links: tuple[tuple[str, str], ...] = ()
    """Names and paths by which `GET /` lists it."""

    def owns(self, path: str) -> bool:
        """Return whether `path` is at or below the prefix."""
        return not self.prefix or path == self.prefix or path.startswith(self.prefix + "/")


def longest_match(dialects: Iterable[Dialect], path: str) -> Dialect:
    """Return the dialect with the longest prefix that owns `path`; one of `dialects` owns every path."""
    return max((dialect for dialect in dialects if dialect.owns(path)), key=lambda dialect: len(dialect.prefix))
