"""Sends requests to every hostile URL from a network namespace, and prints what nftables counted of them.

All addresses are local there, so that a connection which is attempted sends packets, and needs no server.
"""

import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

from chatfleet_api.http.connection import BrokenError
from chatfleet_api.http.egress.dialer import Dialer, connect
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_api.http.pool import ConnectionPool
from harness.upstream.hostile import PUBLIC, HostileDNS, hostile_urls, hosts

_SETUP = (
    "ip link set lo up",
    "ip route add local 0.0.0.0/0 dev lo",
    "ip -6 route add local ::/0 dev lo",
    "nft add table inet guard",
    "nft add chain inet guard out { type filter hook output priority 0 ; }",
    "nft add rule inet guard out tcp flags & (syn | ack) == syn counter",
    "nft add rule inet guard out meta l4proto udp counter",
)


def counted() -> int:
    """Return the connection attempts and datagrams so far."""
    listed = subprocess.run(("nft", "--json", "list", "ruleset"), check=True, capture_output=True).stdout
    objects: list[dict[str, Any]] = json.loads(listed)["nftables"]
    rules = [each["rule"]["expr"] for each in objects if "rule" in each]
    return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)


async def guarded(urls: list[str]) -> int:
    """Request `urls` as a pod would; return how many packets left."""
    before = counted()
    pool = ConnectionPool(Dialer(Egress(), Source.ELSEWHERE, resolve=HostileDNS()))
    for url in urls:
        with suppress(OSError, BrokenError, TimeoutError):
            await pool.request("GET", url, {}, connect_seconds=1)
    return counted() - before


async def unguarded() -> int:
    """Connect to the same hosts without a guard; return how many packets left."""
    before, dns = counted(), HostileDNS()
    for host in hosts():
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                (await connect(await dns(host.strip("[]"), 443))).close()
    return counted() - before


async def counts() -> dict[str, int]:
    """Return what left for hostile URLs, for one that is none, and for hostile hosts without a guard."""
    urls = hostile_urls()
    return {
        "urls": len(urls),
        "hostile": await guarded(urls),
        "allowed": await guarded([f"https://{PUBLIC}/"]),
        "unguarded": await unguarded(),
    }


if __name__ == "__main__":
    for command in _SETUP:
        subprocess.run(command.split(), check=True)
    sys.stdout.write(json.dumps(asyncio.run(counts())))
