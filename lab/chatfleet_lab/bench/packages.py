"""Programs of others that the benchmark runs: each in a virtual environment of its own, pinned, in the user's cache."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

_MADE: Final = "made"
"""File that marks an environment as whole."""


class Package(NamedTuple):
    """One program from PyPI."""

    name: str
    version: str
    extra: str = ""
    size: str = ""
    """What to expect of the download, for who waits."""

    def command(self, name: str) -> Path:
        """Return where a command of the installed program is."""
        return self._folder() / "bin" / name

    def install(self) -> None:
        """Install it unless it is there; tells what it does, and raises `CalledProcessError` when it cannot."""
        folder = self._folder()
        if (folder / _MADE).exists():
            return
        sys.stderr.write(f"[bench] installing {self.name} {self.version}{self.size and f' ({self.size})'}\n")
        subprocess.run((sys.executable, "-m", "venv", "--clear", folder), check=True)
        wanted = f"{self.name}{self.extra}=={self.version}"
        pip = (folder / "bin" / "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", wanted)
        subprocess.run(pip, check=True)
        (folder / _MADE).touch()

    def _folder(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "chatfleet" / "bench" / f"{self.name}-{self.version}"


LITELLM: Final = Package("litellm", "1.106.2", extra="[proxy]", size="750 MB on disk, some minutes")
SMG: Final = Package("smg", "1.13.0")
TENSORZERO: Final = Package("tensorzero", "2026.6.0", size="130 MB on disk")
PY_SPY: Final = Package("py-spy", "0.4.3")
