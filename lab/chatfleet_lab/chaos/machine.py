"""What the figures depend on, of the machine that measures."""

import os
import platform
import subprocess
from pathlib import Path


def machine() -> str:
    """Return it in one line; also how busy it is with other things before anything begins."""
    redis = subprocess.run(("redis-server", "--version"), capture_output=True, text=True, check=True).stdout
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, Redis {redis.partition('v=')[2].split()[0]}, "
        f"load {os.getloadavg()[0]:.1f} before it began"
    )
