"""Every protection that a control run takes away is still where the control looks for it."""

import subprocess
import sys

import pytest

from chatfleet_lab.chaos.control import PROTECTIONS


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_a_control_finds_the_protection_that_it_takes_away(protection: str) -> None:
    program = f"from chatfleet_lab.chaos.control import PROTECTIONS; PROTECTIONS[{protection!r}]()"
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
