"""What is different from vendor to vendor: the columns of the table `VENDORS`."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias

from pydantic import SecretStr

from chatfleet_api.domain.errors import Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.http.sse import EventReader
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.upstream_errors import ERROR_CODES
from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.providers import Compatibility


class StreamParser(Protocol):
    """Parses one answer."""

    pieces: int
    """Pieces that have come: without a count of the output, the tokens of its estimate."""

    @property
    def done(self) -> bool:
        """Whether the `Finish` has been appended."""
        ...

    @property
    def has_begun(self) -> bool:
        """Whether a part of an answer in the vendor's protocol has come, be it one without content."""
        ...

    @property
    def is_ending(self) -> bool:
        """Whether the answer is whole, and only its usage or the mark of its end may still come."""
        ...

    @property
    def is_holding(self) -> bool:
        """Whether a part of the answer has come that is held back until more is known."""
        ...

    @property
    def left_out(self) -> Collection[str]:
        """Names of parts of the answer that a client would miss: they are in no item."""
        ...

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what the next payload brings; raise `ChatError` for a failure or what cannot be parsed."""
        ...

    def end(self) -> Finish:
        """Return the finish of a stream that ends here; raise `ChatError(UPSTREAM_TRUNCATED)` when it is not whole."""
        ...


class Framing(Protocol):
    """Cuts the bytes of a stream into payloads."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that the next bytes complete; raise `ChatError(UPSTREAM_MALFORMED)` if they cannot be."""
        ...


class HTTPRequest(NamedTuple):
    """A request to a vendor, before it is authenticated."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Authentication(Protocol):
    """Authenticates requests by something that is fetched, and expires."""

    @property
    def rejected_by(self) -> Collection[int]:
        """Return the statuses by which the upstream rejects what was fetched."""
        ...

    async def headers(self, key: SecretStr | None, request: HTTPRequest) -> Mapping[str, str]:
        """Return the headers that authenticate `request`; raise `ChatError` when nothing was fetched."""
        ...

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the secrets that no message may have."""
        ...

    @property
    def failure(self) -> str | None:
        """Return why the last fetch failed, also while what was fetched before is valid; None: it did not."""
        ...

    def reject(self) -> None:
        """Fetch again before the next request: the upstream rejected the last one's credentials."""
        ...


Authenticate: TypeAlias = Callable[[SecretStr | None, HTTPRequest], Mapping[str, str]]
"""Returns the headers that authenticate a request; a signature may cover all of it."""

NO_HEADERS: Final = MappingProxyType[str, str]({})


def bearer(key: SecretStr | None, request: HTTPRequest) -> Mapping[str, str]:  # noqa: ARG001  # signatures need it
    return {"Authorization": f"Bearer {key.get_secret_value()}"} if key else NO_HEADERS


def key_header(name: str) -> Authenticate:
    return lambda key, _: {name: key.get_secret_value()} if key else NO_HEADERS


Body: TypeAlias = Callable[[ChatRequest, Compatibility], bytes]
"""Returns the JSON of a request, streamed unless left out; raises `ChatError` for what a vendor does not support."""


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """The API of one provider type, over HTTP."""

    base_url: str | None = None
    """Root of the API when `baseURL` is unset; None: `baseURL` is required."""
    root: Callable[[str], str] = str
    """Normalizes the root."""
    path: Callable[[ChatRequest], str]
    """Path of the request for an answer, below the root."""
    embeddings_path: Callable[[str], str] | None = None
    """Path of a request for embeddings by a model; None: the vendor has none."""
    models_path: str
    """Path where a GET costs nothing and proves the credentials."""
    lists_models: bool = True
    """Whether there must be something at `models_path`; servers that imitate a vendor may leave it out."""
    names_models: bool = True
    """Whether the list has the names that requests use; on Azure those are names of deployments."""
    query: Callable[[RuntimeProvider], str] = lambda _: ""
    """Query of every URL."""
    headers: Callable[[ChatRequest | None], Mapping[str, str]] = lambda _: NO_HEADERS
    """Headers besides the common ones, such as the API's version; None: the request is a check."""
    authenticate: Authenticate = bearer
    authentication: Authentication | None = None
    """Goes before `authenticate`."""
    checks_denied: Collection[str] = ()
    """Names of errors that are no failure of a check: the credentials are valid, and may not read `models_path`."""
    body: Body
    count: Callable[[ChatRequest], tuple[str, bytes] | None] = lambda _: None
    """Returns path and body of a request that counts the tokens of an answer's input; None: there is no such count."""
    media_type: str = "text/event-stream"
    """Content type of a streamed answer."""
    framing: Callable[[], Framing] = EventReader
    events_of: Callable[[bytes], list[bytes]] | None = None
    """Turns an answer that came as one JSON document into the payloads of its stream; None: it comes as a stream."""
    parser: Callable[[ChatRequest], StreamParser]
    error_codes: Mapping[str, Code] = field(default_factory=lambda: ERROR_CODES)
    """Codes by the vendor's names of errors, in error responses."""
