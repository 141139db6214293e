"""Every protection that a control run takes away is still where the control looks for it."""

import subprocess
import sys

PROGRAM = "from chatfleet_lab.chaos.control import PROTECTIONS; [take_away() for take_away in PROTECTIONS.values()]"


def test_each_control_finds_the_protection_that_it_takes_away() -> None:
    done = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
