"""The outbound guard, with a connector that records: what is refused is never connected to."""

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from chatfleet_api.http.connection import Origin
from chatfleet_api.http.egress.addresses import Kind, kinds_of
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.hosts import Hosts, literal_of
from chatfleet_api.http.egress.policy import Egress, EgressRefusedError, Source
from chatfleet_api.http.egress.resolver import Addresses, Resolver
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.http.urls import UnusableURLError, usable
from chatfleet_contract.runtime import RuntimeEgress
from harness.upstream.hostile import (
    IPV6,
    LOOPBACKS,
    METADATA,
    NAMES,
    NEVER,
    PRIVATE,
    PUBLIC,
    HostileDNS,
    hostile_urls,
    hosts,
    pointers,
)

LEAST_URLS: Final = 300
ALL: Final = Egress(allow=Hosts.of(("0.0.0.0/0", "::/0")))
"""All that a resource can allow."""
REFUSED: Final = {Kind.METADATA, Kind.LINK_LOCAL, Kind.UNSPECIFIED, Kind.MULTICAST}


class Recorder:
    """A connector that remembers addresses, and connects to none."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def __call__(self, addresses: Addresses) -> socket.socket:
        """Record `addresses`."""
        self.addresses += [info[-1][0] for info in addresses]
        raise ConnectionRefusedError

    def dialer(self, egress: Egress, source: Source) -> Dialer:
        return Dialer(egress, source, resolve=HostileDNS(), connect=self)


async def connects(host: str, egress: Egress, source: Source) -> list[str]:
    """Return the addresses that a connection to `host` is attempted at."""
    recorder = Recorder()
    with suppress(OSError):
        await recorder.dialer(egress, source).dial(Origin("http", host, 80))
    return recorder.addresses


def reached(addresses: Iterable[str]) -> set[Kind]:
    """Return what `addresses` lead to: 168.063.129.016 is another address to C, in the internet."""
    return {kind for address in addresses for kind in kinds_of(ip_address(address))}


async def test_a_hostile_url_is_never_connected_to() -> None:
    recorder, urls = Recorder(), hostile_urls()
    pool = ConnectionPool(recorder.dialer(Egress(), Source.ELSEWHERE))
    assert len(urls) >= LEAST_URLS
    for url in urls:
        with pytest.raises(OSError):  # noqa: PT011  # refused, unusable or unknown: each says why
            await pool.request("GET", url, {}, connect_seconds=1)
        assert recorder.addresses == [], url
    with pytest.raises(ConnectionRefusedError):
        await pool.request("GET", f"https://{PUBLIC}/", {}, connect_seconds=1)
    assert recorder.addresses == [PUBLIC]


async def test_a_host_is_refused_by_its_address_whatever_its_spelling() -> None:
    """Not by the rules of URLs alone: the dialer gets the host as it was written."""
    for host in (*(each.strip("[]") for each in hosts()), *pointers(), *NAMES, *IPV6):
        assert reached(await connects(host, Egress(), Source.ELSEWHERE)) <= {Kind.PUBLIC}, host


@pytest.mark.parametrize("source", [Source.RESOURCE, Source.ELSEWHERE])
async def test_nothing_allows_metadata_services_and_addresses_of_no_server(source: Source) -> None:
    for host in (*(each.strip("[]") for each in hosts(NEVER)), "metadata.google.internal", "fe80::1", "fd00:ec2::254"):
        assert not reached(await connects(host, ALL, source)) & REFUSED, host


@pytest.mark.parametrize("host", PRIVATE)
async def test_the_resource_may_name_servers_inside_the_cluster(host: str) -> None:
    assert await connects(host, Egress(), Source.RESOURCE) == [host]


async def test_the_platform_may_name_the_agents_that_its_client_allows_and_nothing_else() -> None:
    agents = Egress(allow=Hosts.of(["169.254.170.23"]))
    assert await connects("169.254.170.23", agents, Source.PLATFORM) == ["169.254.170.23"]
    for host in ("169.254.169.254", "169.254.170.2", "127.0.0.1", "10.0.0.1", PUBLIC, "0.0.0.0"):  # noqa: S104  # not bound
        assert await connects(host, agents, Source.PLATFORM) == [], host


@pytest.mark.parametrize("host", LOOPBACKS)
async def test_the_pod_itself_must_be_allowed_and_only_for_the_resource(host: str) -> None:
    assert await connects(host, Egress(), Source.RESOURCE) == []
    assert await connects(host, ALL, Source.RESOURCE) == [host]
    assert await connects(host, ALL, Source.ELSEWHERE) == []


POINTS_TO: Final = {address: name for name, addresses in pointers().items() for address in addresses if "poi" in name}


@pytest.mark.parametrize(
    "entry", ["10.0.0.1", "10.0.0.0/8", "::/0", "0.0.0.0/0", POINTS_TO["10.0.0.1"], ".EXAMPLE.com"]
)
async def test_an_entry_of_allow_opens_a_private_address_to_urls_from_elsewhere(entry: str) -> None:
    name = POINTS_TO["10.0.0.1"]
    allowed = entry != "::/0"
    found = await connects(name, Egress(allow=Hosts.of([entry])), Source.ELSEWHERE)
    assert found == (["10.0.0.1"] if allowed else [])


@pytest.mark.parametrize("entry", ["example.com", ".example.co", "ample.com", "10.0.0.0/32", "11.0.0.0/8", "pointing"])
async def test_an_entry_for_another_host_opens_nothing(entry: str) -> None:
    assert await connects(POINTS_TO["10.0.0.1"], Egress(allow=Hosts.of([entry])), Source.ELSEWHERE) == []


async def test_a_name_of_the_cluster_is_refused_before_it_is_resolved() -> None:
    dns = HostileDNS()
    dialer = Dialer(Egress(), Source.ELSEWHERE, resolve=dns, connect=Recorder())
    with pytest.raises(EgressRefusedError, match=r"default\.svc are refused, .* add the host to egress\.allow"):
        await dialer.dial(Origin("https", "kubernetes.default.svc", 443))
    assert dns.asked == []


async def test_a_connection_is_made_to_the_address_that_was_checked() -> None:
    """The name is resolved once for each connection: what it changes to afterwards is not connected to."""
    dns, recorder = HostileDNS(), Recorder()
    dialer = Dialer(ALL, Source.RESOURCE, resolve=dns, connect=recorder)
    for attempt in range(6):
        with pytest.raises((ConnectionRefusedError, EgressRefusedError)):
            await dialer.dial(Origin("https", "rebinding-1.example.com", 443))
        assert len(dns.asked) == attempt + 1
    assert recorder.addresses == [PUBLIC] * 3


async def test_names_from_elsewhere_are_resolved_without_search_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []

    async def record(host: str, _: int) -> Addresses:
        resolved.append(host)
        return []

    monkeypatch.setattr("chatfleet_api.http.egress.resolver._resolve", record)
    for host in ("redis.shop", "redis.shop.", "10.0.0.1", "::1"):
        await Resolver(absolute=True)(host, 80)
    await Resolver()("llm.team", 80)
    assert resolved == ["redis.shop.", "redis.shop.", "10.0.0.1", "::1", "llm.team"]


@pytest.mark.parametrize("host", METADATA)
async def test_a_refusal_names_host_reason_and_remedy(host: str) -> None:
    with pytest.raises(EgressRefusedError, match=f"{host} are refused, because it leads to .*; use another host"):
        await Dialer().dial(Origin("https", host, 443))


@pytest.mark.parametrize(
    ("host", "through"),
    [
        ("api.openai.com", True),
        ("llm.team.svc", False),
        ("llm", False),
        ("localhost", False),
        ("llm.example.com", False),
        ("a.direct.example.com", False),
        ("direct.example.com", True),
        ("10.1.2.3", False),
        ("11.1.2.3", True),
    ],
)
def test_the_proxy_leads_to_all_but_the_cluster_and_what_is_listed(host: str, through: bool) -> None:  # noqa: FBT001
    no_proxy = ("llm.example.com", ".direct.example.com", "10.0.0.0/8")
    egress = Egress.of(RuntimeEgress(proxy_url="http://proxy:3128", no_proxy=no_proxy))
    assert egress.proxy_for(host) == (Origin("http", "proxy", 3128) if through else None)


@pytest.mark.parametrize("url", ["https://proxy:3128", "socks5://proxy", "http://me@proxy", "http://proxy:99999", ""])
def test_a_proxy_that_cannot_be_used_is_no_configuration(url: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        Egress.of(RuntimeEgress(proxy_url=url))


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "metadata.google.internal", "127.0.0.1", "pointing-11.example.com"]
)
async def test_the_proxy_gets_no_host_that_is_refused(host: str) -> None:
    egress = Egress.of(RuntimeEgress(proxy_url=f"http://{PUBLIC}:3128"))
    assert await connects(host, egress, Source.ELSEWHERE) == []


async def test_the_address_of_the_proxy_is_checked_too() -> None:
    assert await connects("api.openai.com", Egress(proxy=Origin("http", METADATA[0], 80)), Source.RESOURCE) == []
    assert await connects("api.openai.com", Egress(proxy=Origin("http", PRIVATE[0], 80)), Source.RESOURCE) == [
        PRIVATE[0]
    ]


def test_settings_are_read_as_they_are_written() -> None:
    egress = Egress.of(RuntimeEgress(allow=("LLM.example.com.", "10.1.2.3/8"), ca_bundle_file="/ca.pem"))
    assert egress.allow.names == {"llm.example.com"}
    address = literal_of("10.9.9.9")
    assert address
    assert egress.allow.has_address(address)
    assert egress.ca_bundle == Path("/ca.pem")


@pytest.mark.parametrize(
    "url", ["https://a b/", "https://me@a/", "https://1.2.3/", "https://[::g]/", "https:///", "x://a"]
)
def test_a_url_with_two_meanings_is_none(url: str) -> None:
    with pytest.raises(UnusableURLError):
        usable(url)
