"""Two processes of the harness are never given the same port, and a server of another is never taken for one's own."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.net import LOOPBACK, free_port, is_open
from harness.process import StartError, await_ready, started

PORTS = 1_000
"""Of each of two processes: drawn from 19,000 by chance alone, some 50 would be of both."""
OTHER = f"""
from harness.net import free_port

print(*(free_port() for _ in range({PORTS})), flush=True)
input()
"""


def test_no_port_is_given_to_two_processes_while_both_run() -> None:
    with subprocess.Popen(
        (sys.executable, "-c", OTHER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "TMPDIR": tempfile.gettempdir()},
        text=True,
    ) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        ours = {free_port() for _ in range(PORTS)}
        other.communicate("\n")
    assert (len(ours), len(theirs), ours & theirs) == (PORTS, PORTS, set())


def test_a_program_is_not_ready_while_another_listens_on_its_port(tmp_path: Path) -> None:
    port = free_port()
    with (
        socket.create_server((LOOPBACK, port)),
        started("other", ("sleep", "60"), folder=tmp_path) as program,
        pytest.raises(StartError, match="other was not ready"),
    ):
        await_ready(program, lambda: is_open(port), port=port, seconds=0.1)
