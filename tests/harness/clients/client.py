"""The client: asks in any dialect, notes everything that comes and when, and leaves when its patience ends."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from time import monotonic
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

import aiohttp
import msgspec
from aiohttp import AddrInfoType

from chatfleet_api.web.dialects.responses.ids import conversation_id
from chatfleet_contract.spec import OnBusy
from harness.clients.events import EventParser
from harness.clients.received import DialectReader, NativeReader, OpenAIReader, ReceivedStream, ResponsesReader
from harness.upstream.script import Script

ClientAPI: TypeAlias = Literal["native", "openai", "openai-whole", "responses"]
"""A message in a conversation; a chat completion, streamed; the same, not streamed; a response in the background."""
CLIENT_APIS: tuple[ClientAPI, ...] = ("native", "openai", "openai-whole")
STREAMED: tuple[ClientAPI, ...] = ("native", "openai")
RESUMABLE: tuple[ClientAPI, ...] = ("native", "responses")
EVENT_STREAM: Final = "text/event-stream"

PATIENCE = 30.0
"""Seconds that a client waits for the end of an answer, if nothing else is said."""


@dataclass(frozen=True)
class Question:
    """A script to ask for, of a model, in a dialect."""

    script: Script
    model: str
    dialect: ClientAPI = "openai"
    conversation: str | None = None
    """Native dialect: the conversation to ask in; None: a new one."""
    once: str | None = None
    """Native dialect: idempotency key."""
    on_busy: OnBusy | None = None
    """Native dialect: what to do while another answer is being written."""
    key: str | None = None
    """API key."""
    user: str | None = None
    """Whom it is asked for, in OpenAI's dialect."""

    @property
    def path(self) -> str:
        """Where it is asked."""
        match self.dialect:
            case "native":
                return f"/api/v1/conversations/{self.conversation}/messages"
            case "responses":
                return "/v1/responses"
            case _:
                return "/v1/chat/completions"

    def body(self) -> Mapping[str, object]:
        """Return what is sent."""
        said = self.script.question
        match self.dialect:
            case "native":
                busy = {"on_busy": self.on_busy} if self.on_busy else {}
                return {"content": said, "model": self.model, "stream": True, **busy}
            case "responses":
                return {"model": self.model, "input": said, "stream": True, "background": True}
            case _:
                messages = [{"role": "user", "content": said}]
                user = {"user": self.user} if self.user else {}
                return {"model": self.model, "messages": messages, "stream": self.dialect == "openai", **user}

    def request(self, url: str) -> "Request":
        """Return the request that asks it, of the pod at `url`."""
        headers = {"Idempotency-Key": self.once} if self.once else {}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return Request("POST", f"{url}{self.path}", self.body(), headers)


class Request(NamedTuple):
    """An HTTP request."""

    method: Literal["GET", "POST"]
    url: str
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = MappingProxyType({})


class Tokens(msgspec.Struct, frozen=True):
    """What an answer has cost."""

    input_tokens: int
    output_tokens: int
    estimated: bool = False


class Message(msgspec.Struct, frozen=True):
    """A message of a conversation, as far as the harness cares."""

    role: str
    content: str
    status: str
    usage: Tokens | None = None


class _Messages(msgspec.Struct):
    messages: list[Message]


class Sums(msgspec.Struct, frozen=True):
    """What some answers have used, as the pods have summed it."""

    requests: int
    estimated_requests: int
    input_tokens: int
    output_tokens: int
    wasted_output_tokens: int
    cost_usd: str | None
    user: str = ""
    """Of those that are grouped by users."""


class Usage(msgspec.Struct, frozen=True):
    """A report of usage."""

    total: Sums
    data: list[Sums] = []
    """By user."""


class NoStreamError(Exception):
    """What came was no stream of events but a whole answer, or an error."""

    def __init__(self, status: int, retry_after: str | None, body: bytes) -> None:
        super().__init__(f"{status} {body[:200]!r}")
        self.status, self.retry_after, self.body = status, retry_after, body

    def note(self, reader: DialectReader, received: ReceivedStream) -> None:
        """Note it as what was received."""
        received.status, received.retry_after = self.status, self.retry_after
        reader.whole(self.body, received)
        received.closing = "clean"


def reader_for(dialect: ClientAPI) -> DialectReader:
    """Return how answers of a dialect are read."""
    match dialect:
        case "native":
            return NativeReader()
        case "responses":
            return ResponsesReader()
        case _:
            return OpenAIReader()


class Client:
    """Asks pods by their URLs, each question over a connection of its own."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, url: str, question: Question, *, patience: float = PATIENCE) -> ReceivedStream:
        """Ask, and return what came; leave after `patience` seconds."""
        received = ReceivedStream(asked=monotonic())
        reader = reader_for(question.dialect)
        try:
            async with asyncio.timeout(patience):
                if question.dialect == "native" and question.conversation is None:
                    question = replace(question, conversation=await self.converse(url))
                await self.receive(question.request(url), reader, received)
        except NoStreamError as answer:
            answer.note(reader, received)
        except aiohttp.ClientError:
            received.closing = "broken"
        except TimeoutError:
            pass  # the end never came
        received.ended = monotonic()
        return received

    async def receive(
        self, request: Request, reader: DialectReader, received: ReceivedStream, *, silence: float | None = None
    ) -> None:
        """Send a request, and note the events that come, to the end of the response.

        Raises:
            NoStreamError: the response is none.
            aiohttp.ClientError: the connection was lost, or nothing came for `silence` seconds.
        """
        method, url, body, headers = request
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=silence)
        async with self._session.request(method, url, json=body, headers=headers, timeout=timeout) as response:
            if response.content_type != EVENT_STREAM:
                raise NoStreamError(response.status, response.headers.get("Retry-After"), await response.read())
            received.status = response.status
            events = EventParser()
            async for data in response.content.iter_any():
                now = monotonic()
                for event in events.feed(data):
                    received.note_event(now)
                    if piece := reader.take(event, received):
                        received.pieces.append(piece)
                        received.times.append(now)
            received.closing = "clean"

    async def reaches(self, url: str) -> bool:
        """Return whether something takes connections there."""
        try:
            async with self._session.get(url):
                return True
        except aiohttp.ClientError:
            return False

    async def messages(self, url: str, conversation: str) -> list[Message]:
        """Return what is kept of a conversation; raises `aiohttp.ClientError` when that cannot be had."""
        path = f"{url}/api/v1/conversations/{conversation}/messages"
        async with self._session.get(path, raise_for_status=True) as response:
            return msgspec.json.decode(await response.read(), type=_Messages).messages

    async def add(self, url: str, conversation: str, texts: Sequence[str]) -> None:
        """Add messages of a user to a conversation, up to 20; raises `aiohttp.ClientError` unless all are stored."""
        items = [{"type": "message", "role": "user", "content": text} for text in texts]
        path = f"{url}/v1/conversations/{conversation_id(conversation)}/items"
        async with self._session.post(path, json={"items": items}, raise_for_status=True) as response:
            await response.read()

    async def usage(self, url: str, **query: str) -> Usage:
        """Return what the pods have summed, by user; raises `aiohttp.ClientError` when that cannot be had."""
        wanted = {"group_by": "user", **query}
        async with self._session.get(f"{url}/api/v1/usage", params=wanted, raise_for_status=True) as response:
            return msgspec.json.decode(await response.read(), type=Usage)

    async def hold(self, url: str, question: Question) -> None:
        """Ask by a chat completion, and never read the answer; returns when cancelled."""
        async with self._session.post(f"{url}/v1/chat/completions", json=question.body()):
            await asyncio.Event().wait()

    async def cancel(self, url: str, conversation: str) -> None:
        """Cancel the answer that is being written in a conversation, if the pod knows it."""
        async with self._session.post(f"{url}/api/v1/conversations/{conversation}/cancel"):
            pass

    async def converse(self, url: str, user: str | None = None) -> str:
        """Begin a conversation of a user, and return its id; raises `NoStreamError` with the error."""
        body = {"user_id": user} if user else {}
        async with self._session.post(f"{url}/api/v1/conversations", json=body) as response:
            if response.status != HTTPStatus.CREATED:
                raise NoStreamError(response.status, response.headers.get("Retry-After"), await response.read())
            conversation: str = (await response.json())["id"]
            return conversation


@asynccontextmanager
async def open_client(*, receive_buffer: int | None = None) -> AsyncIterator[Client]:
    """Open a client that has no limits of its own; its connections take in `receive_buffer` bytes unread."""

    def connection_for(address: AddrInfoType) -> socket.socket:
        connection = socket.socket(*address[:3])
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        return connection

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=connection_for),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        trust_env=False,
    ) as session:
        yield Client(session)
