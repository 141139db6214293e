"""What is fetched for clients, and why it may not be."""

from typing import Literal, NamedTuple, TypeAlias

Failure: TypeAlias = Literal["refused", "not found", "too large", "unavailable", "busy"]


class DownloadError(Exception):
    """Why nothing was fetched; the message is for logs, because it may name an address of the inside."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


class Downloaded(NamedTuple):
    """The body of a response."""

    content_type: str
    data: bytes
