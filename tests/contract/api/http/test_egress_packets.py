"""No packet leaves for a hostile URL, as the kernel counts them in a network namespace."""

import json
import subprocess
import sys
from typing import Final

LEAST_URLS: Final = 300


def test_no_packet_leaves_for_a_hostile_url() -> None:
    namespace = ("unshare", "--map-root-user", "--net")
    ran = subprocess.run(
        (*namespace, sys.executable, "-m", "harness.upstream.attack"), check=True, capture_output=True, timeout=120
    )
    found = json.loads(ran.stdout)
    assert found["urls"] >= LEAST_URLS
    assert found["hostile"] == 0
    assert found["allowed"] > 0, "the guard must not pass by refusing all"
    assert found["unguarded"] > 100, "the same hosts are reached without the guard"
