"""Attachments of a message with their content: that of a data URL, or what is fetched from an address."""

import asyncio
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from chatfleet_api.chat.attachments import Attachment, Content, checked, read_data_url, require_count, too_large, wrong
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.downloads import Downloaded, DownloadError, Failure
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.large import off_loop
from chatfleet_api.domain.live import Live
from chatfleet_contract.spec.conversations import Attachments

SECONDS: Final = 10.0
"""For all that is fetched for one message."""

_SCHEME: Final = "https:"
_RETRY_SECONDS: Final = 1.0


class Fetch(Protocol):
    """Fetches what is at an address."""

    async def __call__(self, url: str, *, max_bytes: int, tenant: str) -> Downloaded:
        """Return what is at `url`, for `tenant`; raise `DownloadError`."""
        ...


async def fetch_nothing(url: str, *, max_bytes: int, tenant: str) -> Downloaded:
    """Refuse every address."""
    detail = f"no address is requested for tenant {tenant}, neither {url} nor up to {max_bytes} bytes of it"
    raise DownloadError("refused", detail)


@dataclass(frozen=True, kw_only=True)
class Attaching:
    """Checks attachments within the bounds of the resource."""

    bounds: Live[Attachments] = Live(Attachments)  # noqa: RUF009  # immutable
    fetch: Fetch = fetch_nothing

    async def whole(self, message: NewMessage, tenant: str) -> NewMessage:
        """Return `message` of `tenant` with attachments that are checked, each with a data URL.

        Raises `ChatError`: INVALID_REQUEST, ATTACHMENT_UNAVAILABLE.
        """
        if not isinstance(message.attachments, tuple):
            return message
        bounds = self.bounds()
        require_count(message.attachments, bounds.max_count)
        source = _Source(self.fetch, tenant, bounds, asyncio.get_running_loop().time() + SECONDS)
        found: list[Attachment] = []
        for at, attachment in enumerate(message.attachments):
            where = f"attachments[{at}]"
            content = await source.content(attachment.url, f"{where}.url")
            found.append(await off_loop(len(content.data), checked, attachment, content, where, bounds.max_bytes))
        return replace(message, attachments=tuple(found))


class _Source(NamedTuple):
    """Where the attachments of one message come from."""

    fetch: Fetch
    tenant: str
    bounds: Attachments
    deadline: float
    """Of the event loop, for all of them."""

    async def content(self, url: str, where: str) -> Content:
        if url[: len(_SCHEME)].lower() != _SCHEME:
            return await off_loop(len(url), read_data_url, url, where, self.bounds.max_bytes)
        if not self.bounds.fetch:
            raise wrong(where, "the pods fetch no addresses (conversations.attachments.fetch); send a data URL")
        try:
            async with asyncio.timeout_at(self.deadline):
                fetched = await self.fetch(url, max_bytes=self.bounds.max_bytes, tenant=self.tenant)
        except DownloadError as error:
            raise _failed(error.failure, where, self.bounds.max_bytes, str(error)) from None
        except TimeoutError:
            detail = f"the downloads of the message took {SECONDS:g} s"
            raise _failed("unavailable", where, self.bounds.max_bytes, detail) from None
        return Content(fetched.content_type, fetched.data)


def _failed(failure: Failure, where: str, max_bytes: int, detail: str) -> ChatError:
    match failure:
        case "refused":
            return wrong(where, "the pods may not request this address; use a public https address or a data URL")
        case "not found":
            return wrong(where, "its server refuses the request or does not have it; correct the address")
        case "too large":
            return too_large(where, max_bytes)
        case "unavailable" | "busy":
            what = "cannot be fetched now" if failure == "busy" else "cannot be fetched from its server"
            return ChatError(
                Code.ATTACHMENT_UNAVAILABLE,
                f"The attachment of '{where}' {what}. Retry later, or send a data URL.",
                param=where,
                retry_after=_RETRY_SECONDS,
                detail=detail,
            )
