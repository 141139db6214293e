"""Many hostile clients in one cheap process.

`python -m chatfleet_lab.chaos.crowd PORT FILE`; the file has a list of `Group`.

Each says its request, and from then on a byte a second, or takes one of the answer. When all have been shown the door,
or bear it no longer, the process prints for each group how long its clients lasted, and ends.
"""

import select
import socket
import sys
from collections import deque
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from harness.net import LOOPBACK

TICK: Final = 1.0
"""Seconds between two bytes of a client."""
SLICE: Final = 0.02
"""Seconds between two looks at who is due."""
COMERS: Final = 25
"""Clients that come in a slice: as fast as many may, and not all in the same moment."""
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
        self.due = self.began + TICK
        self.lasted: float | None = None
        self._reads = group.reads
        self.leaves = self.began + group.longest
        self.line = socket.socket()
        if group.reads:
            self.line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.line.connect((LOOPBACK, port))
        self.line.sendall(request.encode())
        self.line.settimeout(0)
        self.number = self.line.fileno()

    @property
    def awaits(self) -> int:
        """What to wake it for: who reads slowly does not look whether there is something."""
        return GONE if self._reads else GONE | select.EPOLLIN

    def tick(self) -> bool:
        """Say a byte, or take one, or leave when it is time; return whether it is still there."""
        self.due += TICK
        if monotonic() >= self.leaves:
            self.leave()
            return False
        with suppress(BlockingIOError):
            try:
                if self._reads:
                    if not self.line.recv(1):
                        self.leave()
                else:
                    self.line.send(b"x")
            except ConnectionError:
                self.leave()
        return self.lasted is None

    def leave(self) -> None:
        """Be gone."""
        self.lasted = monotonic() - self.began
        self.line.close()


def play(port: int, groups: list[Group]) -> list[list[float]]:
    """Play until all have gone; return how long each lasted, by group."""
    comers = iter([(place, request) for place, group in enumerate(groups) for request in group.requests])
    guests: list[list[Guest]] = [[] for _ in groups]
    present: dict[int, Guest] = {}
    turn: deque[Guest] = deque()
    with select.epoll() as epoll:
        while (new := [*islice(comers, COMERS)]) or present:
            for place, request in new:
                guest = Guest(port, request, groups[place])
                guests[place].append(guest)
                present[guest.number] = guest
                turn.append(guest)
                epoll.register(guest.number, guest.awaits)
            for number, _ in epoll.poll(SLICE):
                present.pop(number).leave()
            while turn and turn[0].due <= monotonic():
                if (guest := turn.popleft()).lasted is not None:
                    continue  # shown the door meanwhile; its number may be another's
                if guest.tick():
                    turn.append(guest)
                else:
                    del present[guest.number]
    return [[guest.lasted or 0.0 for guest in group] for group in guests]


def main() -> None:
    """Play what the arguments ask for."""
    _, port, file = sys.argv
    told = play(int(port), msgspec.json.decode(Path(file).read_bytes(), type=list[Group]))
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


if __name__ == "__main__":
    main()
