"""`python -m chatfleet_lab.alerts`: record what the tests of the alerts evaluate; two minutes."""

import argparse
import asyncio
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from chatfleet_lab.alerts import control_plane, pods
from chatfleet_lab.alerts.recording import Recording

FILE: Final = Path("tests/contract/alerts/recorded.json")


def main() -> None:
    """Write the recordings, all or those that are named."""
    names = {*pods.SCENARIOS, *control_plane.SCENARIOS}
    parser = argparse.ArgumentParser(prog="python -m chatfleet_lab.alerts", description=__doc__)
    parser.add_argument("--only", choices=sorted(names), action="append", help="record this one, and keep the others")
    only = set(parser.parse_args().only or names)
    known = msgspec.json.decode(FILE.read_bytes(), type=dict[str, Recording]) if FILE.exists() else {}
    with TemporaryDirectory(prefix="chatfleet-alerts-") as folder:
        for name in only & pods.SCENARIOS.keys():
            sys.stderr.write(f"{name}\n")
            (own := Path(folder) / name.replace(" ", "-")).mkdir()
            known[name] = asyncio.run(pods.record(own, name))
        known |= control_plane.record(Path(folder), only & control_plane.SCENARIOS.keys())
    lines = (f'"{name}": {_written(known[name])}' for name in sorted(known.keys() & names))
    FILE.write_text("{" + ",\n".join(lines) + "}\n")


def _written(recording: Recording) -> str:
    """Return a recording with a line for each series."""
    return re.sub(r'(?<=[{,])(?="chatfleet_)', "\n", msgspec.json.encode(recording).decode())


if __name__ == "__main__":
    main()
