"""One exchange in HTTP/1.1, byte by byte and without a socket: what an answer is, and what is none."""

import asyncio

import pytest
from typing_extensions import override

from chatfleet_api.http.connection import MAX_HEAD_BYTES, MAX_UNREAD_BYTES, BrokenError, Connection, Origin
from chatfleet_api.http.pool import ConnectionPool

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\n\r\n"


class Wire(asyncio.Transport):
    """The other end: remembers what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.reading = True

    @override
    def write(self, data: object) -> None:
        """Take what is asked; nobody looks at it here."""

    @override
    def abort(self) -> None:
        self.closed = True

    @override
    def is_closing(self) -> bool:
        return self.closed

    @override
    def pause_reading(self) -> None:
        self.reading = False

    @override
    def resume_reading(self) -> None:
        self.reading = True


class Talk:
    """A connection to a `Wire`, on which a request has been sent."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.connection = Connection(Origin("http", "host", 80))
        self.connection.connection_made(self.wire)
        self.asking = asyncio.ensure_future(self.connection.send(b"GET / HTTP/1.1\r\n\r\n"))

    async def hear(self, *parts: bytes) -> None:
        """Let `parts` come, each by itself."""
        await asyncio.sleep(0)
        for part in parts:
            self.connection.data_received(part)

    async def rest(self) -> bytes:
        """Return the body to its end."""
        await self.asking
        body = b""
        while more := await self.connection.read():
            body += more
        return body


@pytest.fixture
async def talk() -> Talk:
    return Talk()


async def test_an_answer_may_be_cut_in_two_at_any_byte() -> None:
    for at in range(1, len(WHOLE)):
        talk = Talk()
        await talk.hear(WHOLE[:at], WHOLE[at:])
        assert await talk.rest() == b"abcdef"
        assert (talk.connection.status, talk.connection.headers["content-type"]) == (200, "text/plain")
        assert talk.connection.reusable


async def test_what_comes_at_once_is_one_read(talk: Talk) -> None:
    await talk.hear(WHOLE)
    await talk.asking
    assert await talk.connection.read() == b"abcdef"
    assert talk.connection.whole


async def test_one_connection_carries_one_answer_after_another(talk: Talk) -> None:
    for _ in range(3):
        await talk.hear(WHOLE)
        assert await talk.rest() == b"abcdef"
        talk.asking = asyncio.ensure_future(talk.connection.send(b"again"))
    assert not talk.wire.closed
    talk.asking.cancel()


async def test_headers_are_let_go_while_the_answer_comes_and_the_next_has_its_own(talk: Talk) -> None:
    await talk.hear(WHOLE)
    await talk.asking
    talk.connection.forget_headers()
    assert not talk.connection.headers
    assert await talk.connection.read() == b"abcdef"
    talk.asking = asyncio.ensure_future(talk.connection.send(b"again"))
    await talk.hear(WHOLE)
    assert await talk.rest() == b"abcdef"
    assert talk.connection.headers["content-type"] == "text/plain"


async def test_a_word_in_between_is_no_answer(talk: Talk) -> None:
    await talk.hear(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n", WHOLE)
    assert await talk.rest() == b"abcdef"
    assert "x" not in talk.connection.headers


@pytest.mark.parametrize("head", [HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\n", HEAD + b"\r\n"])
async def test_a_connection_that_the_server_closes_is_not_kept(talk: Talk, head: bytes) -> None:
    await talk.hear(head, b"abc")
    talk.connection.connection_lost(None)
    assert await talk.rest() == b"abc"
    assert not talk.connection.reusable


@pytest.mark.parametrize("head", [CHUNKED + b"ff\r\n", HEAD + b"Content-Length: 9\r\n\r\n"])
@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
async def test_an_answer_that_is_cut_is_broken_behind_what_came(
    talk: Talk, head: bytes, error: Exception | None
) -> None:
    await talk.hear(head + b"abc")
    talk.connection.connection_lost(error)
    await talk.asking
    assert await talk.connection.read() == b"abc"
    with pytest.raises(BrokenError):
        await talk.connection.read()


async def test_an_answer_that_ends_with_a_reset_is_not_whole(talk: Talk) -> None:
    await talk.hear(HEAD + b"\r\n", b"abc")
    talk.connection.connection_lost(ConnectionResetError())
    with pytest.raises(BrokenError):
        await talk.rest()


@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"\0" * 9],
)
async def test_what_is_no_answer_breaks_the_connection(talk: Talk, said: bytes) -> None:
    await talk.hear(said)
    with pytest.raises(BrokenError):
        await talk.asking
    assert talk.wire.closed


async def test_an_endless_head_is_not_collected(talk: Talk) -> None:
    line = b"X: " + b"y" * 1000 + b"\r\n"
    await talk.hear(HEAD, *[line] * (1 + MAX_HEAD_BYTES // len(line)))
    with pytest.raises(BrokenError, match="too long"):
        await talk.asking


async def test_who_answers_twice_is_heard_once(talk: Talk) -> None:
    await talk.hear(WHOLE + HEAD.replace(b"200", b"500") + b"Content-Length: 0\r\n\r\n")
    assert await talk.rest() == b"abcdef"
    assert (talk.connection.status, talk.connection.reusable, talk.wire.closed) == (200, False, True)


async def test_who_speaks_unasked_is_not_asked_again(talk: Talk) -> None:
    await talk.hear(WHOLE)
    await talk.rest()
    await talk.hear(WHOLE)
    assert not talk.connection.reusable


async def test_the_upstream_waits_for_a_reader_that_is_busy(talk: Talk) -> None:
    await talk.hear(CHUNKED)
    piece = b"10000\r\n%b\r\n" % (b"x" * 0x10000)
    for _ in range(MAX_UNREAD_BYTES // 0x10000 + 1):
        assert talk.wire.reading
        await talk.hear(piece)
    assert not talk.wire.reading
    await talk.asking
    assert len(await talk.connection.read()) > MAX_UNREAD_BYTES
    assert talk.wire.reading


async def test_a_reader_learns_that_the_connection_was_closed_here(talk: Talk) -> None:
    await talk.hear(CHUNKED)
    await talk.asking
    reading = asyncio.ensure_future(talk.connection.read())
    await asyncio.sleep(0)
    talk.connection.close()
    with pytest.raises(BrokenError, match="closed by this side"):
        await reading
    assert talk.wire.closed


@pytest.mark.parametrize("forged", ["a\r\nX: y", "a\nX: y", "a\rb"])
async def test_no_header_can_be_forged_by_the_value_of_another(forged: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        await ConnectionPool().request("GET", "http://127.0.0.1/", {"Authorization": forged}, connect_seconds=1)
