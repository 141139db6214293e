"""The fast mode of the scripted upstream: a vendor's stream from bytes prepared before, each token with its time.

OpenAI's chat completions, and Anthropic's messages at their path.

It plays a script's number of tokens and their gap, and none of its faults. It is the load's half of a benchmark, so it
does no more than it must: raw sockets, one timer per token of a paced stream, and one turn of the event loop per token
of an unpaced one. A token is a mark and the moment at which it was sent, so that its delay shows wherever it arrives,
in any dialect.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from typing_extensions import override

from harness.net import BACKLOG, LOOPBACK
from harness.upstream.script import Script, read_question

MODEL: Final = "bench"
"""The one model that it lists."""
MARK: Final = b"~"
"""Begins each token; nothing else on the wire holds it."""
MARKED: Final = re.compile(rb"~(\d{15})")
"""A token: the mark, then microseconds of the system's monotonic clock."""
MARK_BYTES: Final = 16
_OPEN: Final = (
    b'data: {"id":"chatcmpl-CeK2T0hM4vFqWZyUuR1nE8sPjD6aG","object":"chat.completion.chunk","created":1763690000,'
    b'"model":"bench","service_tier":"default","system_fingerprint":"fp_3f8c1a2b4d","choices":'
)
_FIRST: Final = (
    _OPEN + b'[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
)
_TOKEN_HEAD: Final = _OPEN + b'[{"index":0,"delta":{"content":"~'
_TOKEN_TAIL: Final = b'"},"logprobs":null,"finish_reason":null}]}\n\n'
A_CHUNK: Final = (_TOKEN_HEAD + b"0" * 15 + _TOKEN_TAIL).removeprefix(b"data: ")
"""The JSON of one token."""
_FINISH: Final = _OPEN + b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
_USAGE: Final = b'[],"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}}\n\n'
_DONE: Final = b"data: [DONE]\n\n"
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_MODELS: Final = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0}]}).encode()


class _Stream(NamedTuple):
    """A vendor's stream, but for its times."""

    first: bytes
    head: bytes
    tail: bytes
    """What stands before and after the time in a token."""
    ending: Callable[[Script, bool], bytes]
    """Returns what follows the last token of a script, with the usage if that was requested."""

    def token(self) -> bytes:
        """Return a token of this moment, as a chunk of the body."""
        size = len(self.head) + 15 + len(self.tail)
        return b"%x\r\n%b%015d%b\r\n" % (size, self.head, microseconds(), self.tail)


class _Connection(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _content_length(head)
        if not found or len(body) < length:
            return
        self._received = body[length:]
        if length:
            self._stream = _MESSAGES if head.startswith(b"POST /v1/messages ") else _COMPLETIONS
            self._begin(body[:length])
        else:
            size = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_MODELS)
            self._transport.write(b"HTTP/1.1 200 OK\r\n" + size + _MODELS)

    def _begin(self, body: bytes) -> None:
        request = json.loads(body)
        content = request["messages"][-1]["content"]
        self._script = read_question(content if isinstance(content, str) else content[0]["text"])
        self._usage = bool((request.get("stream_options") or {}).get("include_usage"))
        self._left = self._script.tokens
        self._transport.write(_HEAD + _framed(self._stream.first))
        self._due = self._loop.time()
        self._next()

    def _next(self) -> None:
        """Send the next token, or the end."""
        if self._transport.is_closing():
            return
        if not self._left:
            self._transport.write(_framed(self._stream.ending(self._script, self._usage)) + b"0\r\n\r\n")
            return
        self._left -= 1
        self._transport.write(self._stream.token())
        if self._script.gap and self._left:
            self._due += self._script.gap
            self._loop.call_at(self._due, self._next)
        else:
            self._loop.call_soon(self._next)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def _framed(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _completed(script: Script, usage: bool) -> bytes:  # noqa: FBT001  # a column of streams
    counted = _OPEN + _USAGE % (script.tokens, script.tokens + 9) if usage else b""
    return _FINISH + counted + _DONE


def _stopped(script: Script, _: bool) -> bytes:  # noqa: FBT001  # the same
    return _STOP % script.tokens


def _event(name: bytes, data: bytes) -> bytes:
    return b'event: %b\ndata: {"type":"%b"%b}\n\n' % (name, name, data)


_DELTA_HEAD, _, _DELTA_TAIL = _event(
    b"content_block_delta", b',"index":0,"delta":{"type":"text_delta","text":"~|"}'
).partition(b"|")
_STOP: Final = (
    _event(b"content_block_stop", b',"index":0')
    + _event(b"message_delta", b',"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}')
    + _event(b"message_stop", b"")
)
_MESSAGE: Final = (
    b',"message":{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","content":[],'
    b'"model":"bench","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}'
)
_MESSAGES: Final = _Stream(
    _event(b"message_start", _MESSAGE)
    + _event(b"content_block_start", b',"index":0,"content_block":{"type":"text","text":""}'),
    _DELTA_HEAD,
    _DELTA_TAIL,
    _stopped,
)
_COMPLETIONS: Final = _Stream(_FIRST, _TOKEN_HEAD, _TOKEN_TAIL, _completed)


def microseconds() -> int:
    """Return the time of the clock that all processes of this machine share."""
    return time.monotonic_ns() // 1000


async def serve(port: int) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, LOOPBACK, port, backlog=BACKLOG)
    await server.serve_forever()
