"""A cluster never takes an address range that the machine uses."""

from ipaddress import IPv4Network
from itertools import combinations

import pytest

from chatfleet_cluster import cidrs
from chatfleet_cluster.cidrs import SLOTS, Route
from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import CIDRs

MACHINE = cidrs.parse_routes(
    '[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"},'
    '{"dst":"192.0.2.0/24","dev":"eth0"},{"type":"local","dst":"192.0.2.2","dev":"eth0"}]'
)


def own(link: str = "10.1.0.0/30", pods: str = "10.2.0.0/16", services: str = "10.3.0.0/20") -> CIDRs:
    return CIDRs(IPv4Network(link), IPv4Network(pods), IPv4Network(services))


def test_a_default_route_uses_no_range() -> None:
    assert [Route(IPv4Network("192.0.2.0/24"), "eth0"), Route(IPv4Network("192.0.2.2/32"), "eth0")] == list(MACHINE)


def test_the_first_free_slot_is_taken() -> None:
    assert SLOTS[0] == cidrs.choose(None, MACHINE)


@pytest.mark.parametrize("part", ["link", "pods", "services"])
def test_a_slot_is_passed_over_when_one_of_its_ranges_is_in_use(part: str) -> None:
    used = Route(getattr(SLOTS[0], part), "cf-other")

    assert SLOTS[1] == cidrs.choose(None, [*MACHINE, used])


def test_no_two_slots_share_an_address() -> None:
    every = [network for slot in SLOTS for network in slot]

    assert not [pair for pair in combinations(every, 2) if pair[0].overlaps(pair[1])]


def test_when_all_slots_are_in_use_the_user_is_told_to_name_ranges() -> None:
    with pytest.raises(ClusterError, match=r"198\.51\.100\.0/30 overlaps 198\.0\.0\.0/8 on interface tun0.*--link"):
        cidrs.choose(None, [Route(IPv4Network("198.0.0.0/8"), "tun0")])


def test_named_ranges_are_taken_when_free() -> None:
    assert own() == cidrs.choose(own(), MACHINE)


def test_a_named_range_in_use_is_refused_with_its_interface() -> None:
    with pytest.raises(ClusterError, match=r"192\.0\.2\.128/25 overlaps 192\.0\.2\.0/24 on interface eth0"):
        cidrs.choose(own(services="192.0.2.128/25"), MACHINE)


def test_ranges_are_given_together() -> None:
    assert own() == cidrs.parse("10.1.0.0/30", "10.2.0.0/16", "10.3.0.0/20")
    assert cidrs.parse(None, None, None) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("10.1.0.0/30", None, None), "Missing --pods and --services"),
        (("here", "10.2.0.0/16", "10.3.0.0/20"), "--link 'here' is not an IPv4 range"),
        (("10.1.0.1/30", "10.2.0.0/16", "10.3.0.0/20"), "--link '10.1.0.1/30' is not an IPv4 range: .*host bits"),
        (("10.1.0.0/31", "10.2.0.0/16", "10.3.0.0/20"), "--link 10.1.0.0/31 has the wrong size"),
        (("10.1.0.0/30", "10.2.0.0/28", "10.3.0.0/20"), "--pods 10.2.0.0/28 has the wrong size"),
        (("10.1.0.0/30", "10.2.0.0/16", "10.0.0.0/8"), "--services 10.0.0.0/8 has the wrong size"),
        (("10.1.0.0/30", "10.2.0.0/16", "10.2.128.0/20"), "services overlap"),
    ],
)
def test_a_wrong_range_is_refused_by_the_name_of_its_option(
    given: tuple[str | None, str | None, str | None], message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        cidrs.parse(*given)
