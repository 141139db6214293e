"""The machine that measures: what it is, and how fast it is today."""

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from chatfleet_lab.bench.processes import Cores
from chatfleet_lab.bench.upstream import A_CHUNK

PARSES: Final = 20_000
IMPORTS: Final = 5
SHOWN: Final = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "msgspec", "redis", "openai")
"""Packages whose versions the figures depend on."""


def facts() -> dict[str, str]:
    """Return what the figures depend on, by what it is."""
    redis = subprocess.run(("redis-server", "--version"), capture_output=True, text=True, check=True).stdout
    return {
        "processor": f"{_line('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(_line('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "system": f"Linux {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "Redis": redis.partition("v=")[2].split()[0],
        "packages": ", ".join(f"{name} {version(name)}" for name in SHOWN),
    }


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


def _line(file: str, name: str) -> str:
    """Return what follows `name:` in a file of the kernel's."""
    found = next(line for line in Path(file).read_text().splitlines() if line.startswith(name))
    return found.partition(":")[2].strip()
