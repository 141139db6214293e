"""What addresses lead to, also inside others."""

from ipaddress import ip_address

import pytest

from chatfleet_api.http.egress.addresses import Kind, kinds_of
from harness.upstream.hostile import IPV6, TARGETS, wrapped

TABLE = {
    Kind.METADATA: ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200", "192.0.0.192"],
    Kind.LINK_LOCAL: ["169.254.0.1", "fe80::1", "fe80::1%2"],
    Kind.LOOPBACK: ["127.0.0.1", "127.255.255.254", "::1"],
    Kind.UNSPECIFIED: ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104  # not bound to
    Kind.MULTICAST: ["224.0.0.1", "239.1.1.1", "255.255.255.255", "ff02::1", "ff0e::1"],
    Kind.PRIVATE: [
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "192.88.99.1", "240.0.0.1"),
        *("fc00::1", "fec0::1", "64:ff9b:1::1", "2001:db8::1", "100::1"),
    ],
    Kind.PUBLIC: ["93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::93.184.216.34"],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TABLE.items() for text in texts])
def test_an_address_leads_to_one_kind_of_place(kind: Kind, text: str) -> None:
    assert kinds_of(ip_address(text)) == {kind}


@pytest.mark.parametrize("address", TARGETS)
def test_an_address_inside_another_leads_where_it_does_itself(address: str) -> None:
    for text in wrapped(address):
        assert kinds_of(ip_address(address)) <= kinds_of(ip_address(text)), text


@pytest.mark.parametrize("address", IPV6)
def test_no_special_address_is_public(address: str) -> None:
    assert Kind.PUBLIC not in kinds_of(ip_address(address))
