"""What a client names is fetched through the guard, within its bounds, and nothing else is ever connected to."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from chatfleet_api.domain.downloads import Downloaded, DownloadError
from chatfleet_api.http import download
from chatfleet_api.http.download import MAX_DOWNLOADS, MAX_REDIRECTS, Downloader
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_api.http.egress.resolver import Addresses
from chatfleet_api.http.egress.trust import tls_context
from harness.net import LOOPBACK
from harness.polling import eventually_async
from harness.tls import certificate, encrypting
from harness.upstream.fake import FakeUpstream, Handler, Reply, fake_upstream
from harness.upstream.hostile import PUBLIC, HostileDNS, hostile_urls

HOST = "images.example.com"
URL = f"https://{HOST}/a.png"
DATA = b"0123456789" * 30_000


class Site(NamedTuple):
    """A server in the internet, as far as the guard can know."""

    downloader: Downloader
    server: FakeUpstream
    dialed: list[str]
    """The addresses to which connections were opened."""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    file, dialed, dns = certificate(tmp_path, HOST, "*.example.com"), list[str](), HostileDNS()
    tls_context.cache_clear()

    async def resolve(host: str, port: int) -> Addresses:
        return await dns(PUBLIC if host == HOST else host, port)

    async with fake_upstream(sending(DATA)) as server, encrypting(server.serve, file) as port:

        async def connect(addresses: Addresses) -> socket.socket:
            dialed.append(str(addresses[0][-1][0]))
            loop, connected = asyncio.get_running_loop(), socket.socket()
            connected.setblocking(False)  # noqa: FBT003  # as the standard library has it
            await loop.sock_connect(connected, (LOOPBACK, port))
            return connected

        egress = Egress(ca_bundle=file)
        downloader = Downloader(lambda: Dialer(egress, Source.ELSEWHERE, resolve=resolve, connect=connect))
        yield Site(downloader, server, dialed)
    tls_context.cache_clear()


def sending(data: bytes, status: int = 200, kind: str = "image/png", **headers: str) -> Handler:
    async def script(reply: Reply) -> None:
        await reply.head(status, kind, **headers)
        if data:
            await reply.send(data)
        await reply.end()

    return script


def redirecting(location: str, status: int = 302) -> Handler:
    return sending(b"", status, Location=location)


async def failure(site: Site, url: str = URL, max_bytes: int = len(DATA), tenant: str = "acme") -> str:
    with pytest.raises(DownloadError) as caught:
        await site.downloader.fetch(url, max_bytes=max_bytes, tenant=tenant)
    return caught.value.failure


async def test_what_is_at_a_url_is_fetched_without_anything_of_the_pod(site: Site) -> None:
    found = await site.downloader.fetch(f"https://{HOST}/a.png?b=c#d", max_bytes=len(DATA), tenant="acme")

    assert found == Downloaded("image/png", DATA)
    (request,) = site.server.requests
    assert (request.method, request.path) == ("GET", "/a.png?b=c")
    assert request.headers == {
        "host": HOST,
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "chatfleet",
    }


async def test_a_redirect_is_followed_and_checked_anew(site: Site) -> None:
    site.server.answers(redirecting("/b.png"), redirecting("https://images.example.com/c.png", 307), sending(DATA))

    assert (await site.downloader.fetch(URL, max_bytes=len(DATA), tenant="acme")).data == DATA
    assert [request.path for request in site.server.requests] == ["/a.png", "/b.png", "/c.png"]
    assert site.dialed == [PUBLIC] * 3


async def test_no_hostile_url_is_ever_connected_to_be_it_named_or_the_target_of_a_redirect(site: Site) -> None:
    urls = [url for url in hostile_urls() if url.isprintable()][::29]
    for url in urls:
        assert await failure(site, url) in ("refused", "unavailable")
    assert site.dialed == []
    for url in urls:
        if url.isascii():
            site.server.answers(redirecting(url), sending(DATA))
            with suppress(DownloadError):  # some are paths of the same server, by the standard of URLs
                await site.downloader.fetch(URL, max_bytes=len(DATA), tenant="acme")
    assert len(site.server.requests) > len(urls) // 10
    assert {*site.dialed} == {PUBLIC}


@pytest.mark.parametrize("url", ["http://images.example.com/", "ftp://images.example.com/", "images.example.com", ""])
async def test_only_https_is_requested(site: Site, url: str) -> None:
    assert await failure(site, url) == "refused"
    assert site.dialed == []


async def test_redirects_end(site: Site) -> None:
    site.server.answers(redirecting("/again"))

    assert await failure(site) == "refused"
    assert len(site.server.requests) == MAX_REDIRECTS + 1


async def test_a_name_that_leads_inside_cannot_be_told_from_one_that_does_not_exist(site: Site) -> None:
    assert await failure(site, "https://pointing-0.example.com/") == "unavailable"
    assert await failure(site, "https://unknown.example.com/") == "unavailable"
    assert site.dialed == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (sending(DATA, 404), "not found"),
        (sending(DATA, 403), "not found"),
        (sending(DATA, 500), "unavailable"),
        (sending(DATA, 206), "unavailable"),
        (sending(DATA, Content_Encoding="gzip"), "unavailable"),
        (sending(DATA + b"x"), "too large"),
    ],
)
async def test_another_response_is_an_error(site: Site, script: Handler, expected: str) -> None:
    site.server.answers(script)

    assert await failure(site) == expected


async def test_an_endless_body_is_read_up_to_the_limit_alone(site: Site) -> None:
    async def endless(reply: Reply) -> None:
        await reply.head(200, "image/png")
        while True:
            await reply.send(DATA)

    site.server.answers(endless)

    assert await failure(site) == "too large"
    await site.server.abandoned(10)


async def test_a_size_that_is_stated_is_not_waited_for(site: Site) -> None:
    async def large(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        await reply.hang()

    site.server.answers(large)

    assert await failure(site) == "too large"


async def test_a_server_that_breaks_off_or_says_nothing_is_unavailable(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(reply: Reply) -> None:
        await reply.head(200, "image/png")
        await reply.send(DATA)
        reply.cut()

    async def hang(reply: Reply) -> None:
        await reply.hang()

    site.server.answers(cut)
    assert await failure(site) == "unavailable"
    monkeypatch.setattr(download, "SECONDS", 0.2)
    site.server.answers(hang)
    assert await failure(site) == "unavailable"


@pytest.mark.parametrize(("tenants", "most"), [(MAX_DOWNLOADS, MAX_DOWNLOADS), (1, MAX_DOWNLOADS // 2)])
async def test_a_pod_fetches_so_many_at_a_time_and_half_of_them_for_one_tenant(
    site: Site, tenants: int, most: int
) -> None:
    async def hang(reply: Reply) -> None:
        await reply.hang()

    site.server.answers(hang)
    fetching = [
        asyncio.create_task(site.downloader.fetch(URL, max_bytes=9, tenant=f"tenant-{each % tenants}"))
        for each in range(most)
    ]
    await eventually_async(lambda: len(site.server.requests) == most)
    assert await failure(site, tenant="tenant-0") == "busy"
    for task in fetching:
        task.cancel()
    await asyncio.gather(*fetching, return_exceptions=True)
    site.server.answers(sending(DATA))
    assert (await site.downloader.fetch(URL, max_bytes=len(DATA), tenant="tenant-0")).data == DATA
