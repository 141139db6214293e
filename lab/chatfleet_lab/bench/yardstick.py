"""How fast the machine is today, and what is installed on it."""

import json
import subprocess
import sys
import time
from importlib.metadata import version
from statistics import median
from typing import Final

from chatfleet_lab.bench.processes import Cores
from harness.upstream.prerendered import A_CHUNK

PARSES: Final = 20_000
IMPORTS: Final = 5
SHOWN: Final = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "msgspec", "redis", "openai")
"""Packages whose versions the figures depend on."""


def versions() -> dict[str, str]:
    """Return the versions of the packages that the figures depend on."""
    return {"packages": ", ".join(f"{name} {version(name)}" for name in SHOWN)}


def yardstick_us() -> float:
    """Return the microseconds of processor time in which Python parses one chunk of the upstream's."""
    begun = time.process_time()
    for _ in range(PARSES):
        json.loads(A_CHUNK)
    return (time.process_time() - begun) / PARSES * 1e6


def import_seconds(cores: Cores) -> float:
    """Return how long it takes to import the API, beyond what Python takes to start."""
    return median(_start("import chatfleet_api.__main__", cores) - _start("", cores) for _ in range(IMPORTS))


def _start(code: str, cores: Cores) -> float:
    begun = time.monotonic()
    subprocess.run(("taskset", "--cpu-list", str(cores.server), sys.executable, "-c", code), check=True)
    return time.monotonic() - begun
