"""Print which share of our packages' lines and branches the last test-unit ran; with --missing also the missing lines.

Contract and cluster tests run much of the rest, in processes of their own. They are not measured.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".coverage.json"
PACKAGES = ("chatfleet_contract", "chatfleet_operator", "chatfleet_metrics", "chatfleet_api")


def main() -> None:
    """Print a line for each package, and one for all."""
    if not DATA.exists():
        sys.exit("[coverage] nothing is measured yet: make test-unit")
    if "--missing" in sys.argv:
        merge = ("--merge", str(DATA), "--skip-covered", "--out", "/dev/null")
        subprocess.run([sys.executable, "-m", "slipcover", *merge], cwd=ROOT, check=True)
    files: dict[str, dict[str, Any]] = json.loads(DATA.read_text())["files"]
    for package in PACKAGES:
        print(f"[coverage] {package:20} {share(each for path, each in files.items() if f'{package}/' in path)}")
    print(f"[coverage] {'together':20} {share(files.values())} of lines and branches")


def share(files: Iterable[dict[str, Any]]) -> str:
    """Return the percentage of lines and branches that ran."""
    ran = missed = 0
    for each in files:
        ran += len(each["executed_lines"]) + len(each["executed_branches"])
        missed += len(each["missing_lines"]) + len(each["missing_branches"])
    return f"{ran / (ran + missed):6.1%}" if ran else "not measured"


if __name__ == "__main__":
    main()
