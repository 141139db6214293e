"""The choice of a cluster's address ranges (CIDRs): free ones, by the routes of this machine."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations

from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import CIDRs

SLOTS = tuple(
    CIDRs(
        link=IPv4Network(f"198.51.100.{4 * slot}/30"),
        pods=IPv4Network(f"198.18.{16 * slot}.0/20"),
        services=IPv4Network(f"198.19.{8 * slot}.0/21"),
    )
    for slot in range(16)
)
"""The ranges of the first, second … cluster on a machine. CIDRs for documentation (RFC 5737) and for benchmarks (RFC
2544), so that they meet neither private networks nor the internet. 198.19.128.0/17 stays free."""


@dataclass(frozen=True)
class Route:
    """A range that the machine uses, and by which interface."""

    range: IPv4Network
    interface: str


def machine_routes() -> tuple[Route, ...]:
    """All routes of this network namespace, its own addresses among them."""
    command = ["ip", "-4", "-json", "route", "show", "table", "all"]
    return parse_routes(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def parse_routes(text: str) -> tuple[Route, ...]:
    """Read the output of `ip -json route`; a default route uses no range."""
    entries = json.loads(text or "[]")
    return tuple(
        Route(IPv4Network(entry["dst"], strict=False), entry.get("dev", "?"))
        for entry in entries
        if entry["dst"] != "default"
    )


def choose(wanted: CIDRs | None, routes: Iterable[Route]) -> CIDRs:
    """Return `wanted` if it is free, or the first free slot if none is wanted; raise ClusterError otherwise."""
    taken = tuple(routes)
    if wanted is None:
        free = (slot for slot in SLOTS if not _clash(slot, taken))
        chosen = next(free, None)
        if chosen is None:
            raise ClusterError(
                f"All {len(SLOTS)} default address ranges are in use; of the first, "
                f"{_clash(SLOTS[0], taken)}. Set free ranges: --link, --pods and --services."
            )
        return chosen
    clash = _clash(wanted, taken)
    if clash:
        raise ClusterError(
            f"An address range of the cluster is in use: {clash}. Set other ranges, or none to use the defaults."
        )
    return wanted


def parse(link: str | None, pods: str | None, services: str | None) -> CIDRs | None:
    """Read the three options; None when none of them is given. Raise ClusterError naming the wrong one."""
    given = {"--link": link, "--pods": pods, "--services": services}
    if not any(given.values()):
        return None
    missing = [option for option, value in given.items() if not value]
    if missing:
        raise ClusterError(f"Missing {' and '.join(missing)}: set all three address ranges or none.")
    cidrs = CIDRs(*(_network(option, value or "") for option, value in given.items()))
    _check_sizes(cidrs)
    return cidrs


def _network(option: str, value: str) -> IPv4Network:
    try:
        return IPv4Network(value)
    except ValueError as error:
        raise ClusterError(f"{option} {value!r} is not an IPv4 range: {error}. Example: 198.51.100.0/30") from error


def _check_sizes(cidrs: CIDRs) -> None:
    limits = {"--link": (cidrs.link, 30, 24), "--pods": (cidrs.pods, 26, 16), "--services": (cidrs.services, 26, 12)}
    for option, (network, smallest, largest) in limits.items():
        if not largest <= network.prefixlen <= smallest:
            raise ClusterError(f"{option} {network} has the wrong size. Use /{largest} to /{smallest}.")
    if any(one.overlaps(other) for one, other in combinations(cidrs, 2)):
        raise ClusterError("--link, --pods and --services overlap. Use three separate ranges.")


def _clash(cidrs: CIDRs, taken: Iterable[Route]) -> str:
    """Return which range overlaps which route; empty when all are free."""
    for network in cidrs:
        for route in taken:
            if network.overlaps(route.range):
                return f"{network} overlaps {route.range} on interface {route.interface}"
    return ""
