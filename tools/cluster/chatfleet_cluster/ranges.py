"""Choosing a cluster's address ranges: never one that the machine uses already."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations

from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.layout import Ranges

SLOTS = tuple(
    Ranges(
        link=IPv4Network(f"198.51.100.{4 * slot}/30"),
        pods=IPv4Network(f"198.18.{16 * slot}.0/20"),
        services=IPv4Network(f"198.19.{8 * slot}.0/21"),
    )
    for slot in range(16)
)
"""What the first, second … cluster on a machine gets. Ranges for documentation (RFC 5737) and for benchmarks (RFC
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


def choose(wanted: Ranges | None, routes: Iterable[Route]) -> Ranges:
    """Return `wanted` if it is free, or the first free slot if none is wanted; raise ClusterError otherwise."""
    taken = tuple(routes)
    if wanted is None:
        free = (slot for slot in SLOTS if not _clash(slot, taken))
        chosen = next(free, None)
        if chosen is None:
            raise ClusterError(
                f"All {len(SLOTS)} address ranges of clusters on this machine are in use, the first one because "
                f"{_clash(SLOTS[0], taken)}. Name free ranges: --link, --pods and --services."
            )
        return chosen
    clash = _clash(wanted, taken)
    if clash:
        raise ClusterError(
            f"An address range of the cluster is in use: {clash}. Name others, or none to have one chosen."
        )
    return wanted


def parse(link: str | None, pods: str | None, services: str | None) -> Ranges | None:
    """Read the three options; None when none of them is given. Raise ClusterError naming the wrong one."""
    given = {"--link": link, "--pods": pods, "--services": services}
    if not any(given.values()):
        return None
    missing = [option for option, value in given.items() if not value]
    if missing:
        raise ClusterError(f"Address ranges are given all three or none: {' and '.join(missing)} missing.")
    ranges = Ranges(*(_network(option, value or "") for option, value in given.items()))
    _check_sizes(ranges)
    return ranges


def _network(option: str, value: str) -> IPv4Network:
    try:
        return IPv4Network(value)
    except ValueError as error:
        raise ClusterError(f"{option} {value!r} is no IPv4 range: {error}. Write it like 198.51.100.0/30.") from error


def _check_sizes(ranges: Ranges) -> None:
    limits = {"--link": (ranges.link, 30, 24), "--pods": (ranges.pods, 26, 16), "--services": (ranges.services, 26, 12)}
    for option, (network, smallest, largest) in limits.items():
        if not largest <= network.prefixlen <= smallest:
            raise ClusterError(f"{option} {network} has the wrong size: use /{largest} to /{smallest}.")
    if any(one.overlaps(other) for one, other in combinations(ranges, 2)):
        raise ClusterError("--link, --pods and --services overlap each other: use three ranges apart.")


def _clash(ranges: Ranges, taken: Iterable[Route]) -> str:
    """Say which range is taken by what; empty when all are free."""
    for network in ranges:
        for route in taken:
            if network.overlaps(route.range):
                return f"{network} overlaps {route.range} on interface {route.interface}"
    return ""
