"""The machine that measures: what figures depend on, and how busy it is with other things."""

import os
import platform
import subprocess
from pathlib import Path


def facts() -> dict[str, str]:
    """Return the properties of the machine that measurements depend on, by name."""
    redis = subprocess.run(("redis-server", "--version"), capture_output=True, text=True, check=True).stdout
    return {
        "processor": f"{_line('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(_line('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "system": f"Linux {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "Redis": redis.partition("v=")[2].split()[0],
    }


def in_one_line() -> str:
    """Return the facts, and the load before anything begins."""
    fact = facts()
    return (
        f"{os.cpu_count()} cores, {fact['memory']}, {fact['system']}, Python {fact['Python']}, Redis {fact['Redis']}, "
        f"load {os.getloadavg()[0]:.1f} before it began"
    )


def _line(file: str, name: str) -> str:
    """Return what follows `name:` in a file of the kernel's."""
    found = next(line for line in Path(file).read_text().splitlines() if line.startswith(name))
    return found.partition(":")[2].strip()
