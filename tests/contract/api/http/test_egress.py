"""Connections over real sockets as `spec.egress` has them: through a proxy, after redirects, and after a change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import pytest

from chatfleet_api.http.connection import Connection
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.hosts import Hosts
from chatfleet_api.http.egress.policy import Egress, EgressRefusedError, Source
from chatfleet_api.http.egress.proxy import ProxyError
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_contract.runtime import RuntimeEgress
from harness.net import LOOPBACK, LOOPBACK_EGRESS
from harness.upstream.catalogue import RecordingMeter, ask, catalogue_of, config_of, provider_of, registry_of
from harness.upstream.fake import Reply, fake_upstream
from harness.upstream.hostile import METADATA, PUBLIC, HostileDNS, hostile_urls
from harness.upstream.wires import WORDS, OpenAIWire, answering

WIRE = OpenAIWire()
UNRESOLVED = "https://llm.example.com"
TEXT = "".join(WORDS)
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class Proxy:
    """An HTTP proxy that leads every tunnel to one server, and remembers what was requested."""

    target: tuple[str, int]
    answer: bytes
    port: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def settings(self) -> RuntimeEgress:
        """Egress through this proxy."""
        return RuntimeEgress(proxy_url=f"http://{LOOPBACK}:{self.port}", allow=(LOOPBACK,))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one tunnel."""
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.answer)
        with closing(writer):
            if b" 200 " in self.answer:
                inner_reader, inner_writer = await asyncio.open_connection(*self.target)
                with closing(inner_writer):
                    await asyncio.gather(_copied(reader, inner_writer), _copied(inner_reader, writer))


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def proxied(url: str = "http://127.0.0.1:9", answer: bytes = ESTABLISHED) -> AsyncIterator[Proxy]:
    """Run a proxy in front of `url`."""
    host, _, port = url.removeprefix("http://").partition(":")
    proxy = Proxy((host, int(port)), answer)
    async with await asyncio.start_server(proxy.serve, LOOPBACK, 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy


async def test_an_upstream_is_requested_through_the_proxy_which_resolves_its_name() -> None:
    async with fake_upstream(answering(WIRE)) as upstream, proxied(upstream.url) as proxy:
        config = config_of(provider_of(WIRE, "http://llm.example.com"))
        async with catalogue_of(config.model_copy(update={"egress": proxy.settings})) as catalogue:
            outcomes = [await ask(catalogue.provider("default")) for _ in range(2)]
    assert [outcome.text for outcome in outcomes] == [TEXT] * 2
    assert proxy.heads == ["CONNECT llm.example.com:80 HTTP/1.1\r\nHost: llm.example.com:80\r\n\r\n"]


async def test_what_is_listed_in_no_proxy_is_requested_directly() -> None:
    async with fake_upstream(answering(WIRE)) as upstream, proxied() as proxy:
        settings = proxy.settings.model_copy(update={"no_proxy": ("127.0.0.0/8",)})
        config = config_of(provider_of(WIRE, upstream.url)).model_copy(update={"egress": settings})
        async with catalogue_of(config) as catalogue:
            assert (await ask(catalogue.provider("default"))).text == TEXT
    assert proxy.heads == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "CONNECT llm.example.com:443 with HTTP 403; allow the host in the proxy"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "with HTTP 407"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "sent no answer of an HTTP proxy; correct egress.proxyURL"),
        (b"", "sent no answer of an HTTP proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "sent no answer of an HTTP proxy"),
    ],
)
async def test_what_the_proxy_refuses_is_named(answer: bytes, message: str) -> None:
    async with proxied(answer=answer) as proxy:
        dialer = Dialer(Egress.of(proxy.settings))
        with pytest.raises(ProxyError, match=message):
            await ConnectionPool(dialer).request("GET", UNRESOLVED, {}, connect_seconds=5)


async def test_the_proxy_gets_the_address_that_was_checked_of_a_url_from_elsewhere() -> None:
    async with fake_upstream(answering(WIRE)) as upstream, proxied(upstream.url) as proxy:
        dns = HostileDNS()
        pool = ConnectionPool(Dialer(Egress.of(proxy.settings), Source.ELSEWHERE, resolve=dns))
        connection = await pool.request("GET", "http://rebinding-1.example.com/", {}, connect_seconds=5)
        connection.close()
        with pytest.raises(EgressRefusedError):
            await pool.request("GET", "http://rebinding-1.example.com/", {}, connect_seconds=5)
    assert [head.split()[1] for head in proxy.heads] == [f"{PUBLIC}:80"]


async def test_no_redirect_is_followed_and_its_url_is_checked_as_any_other() -> None:
    """A chain of redirects to hostile URLs: the only connections are to the server that redirects."""
    locations = [url for url in hostile_urls() if url.isascii() and url.isprintable()]

    async def redirecting(reply: Reply) -> None:
        await reply.head(302, Location=locations[int(reply.request.path.strip("/")) % len(locations)])
        await reply.end()

    async with fake_upstream(redirecting) as upstream:
        with closing(ConnectionPool(Dialer(Egress.of(LOOPBACK_EGRESS)))) as pool:
            elsewhere = ConnectionPool(Dialer(Egress(), Source.ELSEWHERE, resolve=HostileDNS()))
            for index in range(len(locations)):
                response = await pool.request("GET", f"{upstream.url}/{index}", {}, connect_seconds=5)
                location = response.headers["location"]
                assert await _drained(response) == b""
                pool.release(response)
                with pytest.raises(OSError):  # noqa: PT011  # refused, unusable or unknown: each says why
                    await elsewhere.request("GET", location, {}, connect_seconds=5)
        assert len(upstream.requests) == len(locations)
        assert upstream.connections == 1


async def _drained(response: Connection) -> bytes:
    return b"".join([part async for part in _parts(response)])


async def _parts(response: Connection) -> AsyncIterator[bytes]:
    while part := await response.read():
        yield part


async def test_a_provider_that_redirects_is_a_failure() -> None:
    async def redirecting(reply: Reply) -> None:
        await reply.head(307, Location=f"http://{METADATA[0]}/latest/meta-data/")
        await reply.end()

    async with fake_upstream(redirecting) as upstream:
        async with catalogue_of(config_of(provider_of(WIRE, upstream.url))) as catalogue:
            assert (await ask(catalogue.provider("default"))).error is not None
        assert len(upstream.requests) == 1


async def test_a_change_of_egress_applies_to_connections_that_are_open() -> None:
    """Idle ones are closed; a reused connection is no way around the next policy."""
    async with fake_upstream(answering(WIRE)) as upstream:
        with closing(ConnectionPool()) as pool:
            registry = registry_of(RecordingMeter(), pool)
            allowed = config_of(provider_of(WIRE, upstream.url))
            answered = registry.catalogue(allowed)
            assert (await ask(answered.provider("default"))).text == TEXT
            same = registry.catalogue(allowed.model_copy(update={"deployment": "other"}))
            assert (await ask(same.provider("default"))).text == TEXT
            assert upstream.connections == 1
            refused = registry.catalogue(allowed.model_copy(update={"egress": RuntimeEgress()}))
            error = (await ask(refused.provider("default"))).error
    assert error is not None
    assert "connections to 127.0.0.1 are refused, because it leads to the pod itself" in str(error.detail)


async def test_a_connection_of_the_policy_before_is_not_reused() -> None:
    async with fake_upstream(answering(WIRE)) as upstream:
        with closing(ConnectionPool(Dialer(Egress(allow=Hosts.of([LOOPBACK]))))) as pool:
            response = await pool.request("GET", f"{upstream.url}/", {}, connect_seconds=5)
            pool.use(Dialer())
            await _drained(response)
            pool.release(response)
            with pytest.raises(EgressRefusedError):
                await pool.request("GET", f"{upstream.url}/", {}, connect_seconds=5)
    assert len(upstream.requests) == 1
