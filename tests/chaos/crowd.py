"""Many hostile clients in one cheap process: `python -m chaos.crowd PORT FILE`; the file has a list of `Group`.

Each says its request, and from then on a byte a second, or takes one of the answer. When all have been shown the door,
or bear it no longer, the process prints for each group how long its clients lasted, and ends.
"""

import select
import socket
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from chaos.net import LOOPBACK

TICK: Final = 1.0
"""Seconds between two bytes."""
RECEIVE_BUFFER: Final = 4_096
GONE: Final = select.EPOLLHUP | select.EPOLLERR


class Group(msgspec.Struct, frozen=True):
    """Clients that do the same, one after the other begun."""

    requests: list[str]
    """What each begins with."""
    longest: float
    """Seconds after which one leaves by itself."""
    reads: bool = False
    """Whether it takes a byte a second, and does not say one."""


class Guest:
    """One client."""

    def __init__(self, port: int, request: str, group: Group) -> None:
        self.began = monotonic()  # before the pod can have begun to count
        self.lasted: float | None = None
        self._reads = group.reads
        self.leaves = self.began + group.longest
        self.line = socket.socket()
        if group.reads:
            self.line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.line.connect((LOOPBACK, port))
        self.line.sendall(request.encode())
        self.line.settimeout(0)

    @property
    def awaits(self) -> int:
        """What to wake it for: who reads slowly does not look whether there is something."""
        return GONE if self._reads else GONE | select.EPOLLIN

    def tick(self) -> None:
        """Say a byte, or take one."""
        with suppress(BlockingIOError):
            try:
                if self._reads:
                    if not self.line.recv(1):
                        self.leave()
                else:
                    self.line.send(b"x")
            except ConnectionError:
                self.leave()

    def leave(self) -> None:
        """Be gone."""
        self.lasted = monotonic() - self.began
        self.line.close()


def play(port: int, groups: list[Group]) -> list[list[float]]:
    """Play until all have gone; return how long each lasted, by group."""
    guests = [[Guest(port, request, group) for request in group.requests] for group in groups]
    present = {guest.line.fileno(): guest for group in guests for guest in group}
    with select.epoll() as epoll:
        for number, guest in present.items():
            epoll.register(number, guest.awaits)
        due = monotonic() + TICK
        while present:
            for number, _ in epoll.poll(max(0.0, due - monotonic())):
                present.pop(number).leave()
            if monotonic() < due:
                continue
            due += TICK
            for number, guest in tuple(present.items()):
                if monotonic() >= guest.leaves:
                    guest.leave()
                else:
                    guest.tick()
                if guest.lasted is not None:
                    del present[number]
    return [[guest.lasted or 0.0 for guest in group] for group in guests]


def main() -> None:
    """Play what the arguments ask for."""
    _, port, file = sys.argv
    told = play(int(port), msgspec.json.decode(Path(file).read_bytes(), type=list[Group]))
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


if __name__ == "__main__":
    main()
