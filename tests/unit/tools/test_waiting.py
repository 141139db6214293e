"""The user is told what is going on, and waiting ends."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console
from typing_extensions import override

from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.locks import locked
from chatfleet_cluster.progress import Progress
from chatfleet_cluster.waiting import wait_until


class Screen(io.StringIO):
    """A console's output that tells when a line has come."""

    def __init__(self, awaited: str = "\0") -> None:
        super().__init__()
        self.awaited = awaited
        self.came = threading.Event()

    @override
    def write(self, text: str) -> int:
        length = super().write(text)
        if self.awaited in self.getvalue():
            self.came.set()
        return length


def progress(screen: io.StringIO, heartbeat: float = 60.0) -> Progress:
    return Progress(Console(file=screen, width=20), heartbeat)


def test_a_step_is_told_with_its_time_and_unbroken_in_a_log() -> None:
    screen = Screen()

    with progress(screen).step("Building [something] with a long name"):
        pass

    assert screen.getvalue() == "✓ Building [something] with a long name (0.0 s)\n"


def test_a_failed_step_is_marked() -> None:
    screen = Screen()

    with pytest.raises(ClusterError), progress(screen).step("Building"):
        raise ClusterError("no")

    assert screen.getvalue() == "✗ Building (0.0 s)\n"


def test_a_long_step_says_again_that_it_is_under_way() -> None:
    screen = Screen("… Building (0 s so far)")

    with progress(screen, heartbeat=0.01).step("Building"):
        assert screen.came.wait(5)


def test_waiting_for_something_that_never_comes_ends_and_names_it() -> None:
    with pytest.raises(ClusterError, match="Timed out after 0 s waiting for the moon"):
        wait_until(lambda: False, "the moon", seconds=0)


def test_others_wait_for_the_lock_and_say_for_what(tmp_path: Path) -> None:
    screen = Screen("… Waiting for another process: it works")
    order: list[str] = []

    def another() -> None:
        with locked(tmp_path / "lock", Progress(Console(file=screen, width=99), 0.01), what="it works"):
            order.append("in")
            threading.Event().wait(0.005)  # time enough to meet another in here
            order.append("out")

    threads = [threading.Thread(target=another) for _ in range(8)]
    with locked(tmp_path / "lock", progress(Screen()), what="it works"):
        for thread in threads:
            thread.start()
        assert screen.came.wait(5)
        order.append("first")
    for thread in threads:
        thread.join(5)

    assert order == ["first", *["in", "out"] * 8]


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", progress(Screen()), what="it works"):
        assert (tmp_path / "lock").exists()

    assert not list(tmp_path.iterdir())
