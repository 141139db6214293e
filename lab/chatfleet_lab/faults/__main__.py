"""`make chaos-node`, or `python -m chatfleet_lab.faults`: measures every row, and writes figures and page."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatfleet_lab.faults.fault import LIMIT_SECONDS
from chatfleet_lab.faults.page import Measurement, write
from chatfleet_lab.faults.place import api_server, node
from chatfleet_lab.faults.rows.all import WITH_PODS, WITHOUT_PODS
from chatfleet_lab.machine import in_one_line
from chatfleet_lab.scale.page import rewrite

PLACES: Final = {"API server": (api_server, WITHOUT_PODS, 6), "node": (node, WITH_PODS, 8)}
"""What makes each place, its rows, and how many of them are played at once."""

LASTS_SECONDS: Final = 15.0
"""What lasts longer is retried more rarely."""


def main() -> int:
    """Measure; returns 1 when a row was not reported or healed in time."""
    arguments = _arguments()
    late = []
    for place in arguments.on or PLACES:
        open_place, rows, at_once = PLACES[place]
        chosen = [row for row in rows if arguments.only in row.name]
        when, machine = datetime.now(UTC).date().isoformat(), in_one_line()
        with open_place(at_once) as driver:
            driver.lasts = LASTS_SECONDS
            measured = asyncio.run(driver.play(chosen))
        late += [row.name for row in measured if not row.within(LIMIT_SECONDS)]
        if arguments.folder:
            write(arguments.folder, Measurement(driver.place, when, machine, at_once, measured))
            rewrite(arguments.folder)
    sys.stdout.write(f"Later than {LIMIT_SECONDS:g} s: {', '.join(late) or 'none'}\n")
    return 1 if late else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chatfleet_lab.faults", description=__doc__)
    parser.add_argument("--on", action="append", choices=PLACES, help="a place; default: all")
    parser.add_argument("--only", default="", help="a part of the names of the rows that are played")
    parser.add_argument("--folder", type=Path, help="folder for figures and page, such as docs/measurements")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
