"""A test that its timeout does not stop ends the run, and is named."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEST = """
import asyncio


async def swallows() -> None:
    while True:
        pass


async def test_waits_for_an_event_that_does_not_come() -> None:
    task = asyncio.create_task(swallows())
    await asyncio.Event().wait()
    await task
"""


def test_a_task_that_takes_the_exception_of_the_timeout_hangs_no_run(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-c",
        ROOT / "pyproject.toml",
        "--rootdir",
        tmp_path,
        "-p",
        "harness.hanging",
    )
    options = ("-p", "no:cacheprovider", "-o", "timeout=1", tmp_path)
    done = subprocess.run(
        (*command, *options),
        cwd=ROOT,
        env={"PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 1
    assert "Timeout (0:00:02)!" in done.stderr
    assert done.stdout.rstrip().endswith("test_it.py")
