"""The fencing token of a run: each takeover raises it, and a write that carries an older one is refused.

A pod that was cut off, or stopped, for longer than its lease may wake and go on writing a run that another pod has
taken over. It cannot be kept from trying; so each store checks the token, in the same atomic step as the write:

- the run log, by the epoch of the producer: `log/append_script.py`;
- the session store, by the epoch of the answer's message: `APPEND` in `sessions/scripts.py`.
"""

from typing import NamedTuple


class Fence(NamedTuple):
    """A producer's fencing token for a run that belongs to the fleet, and where it begins."""

    epoch: int = 0
    """How often the run was taken over. What an older epoch appends is refused."""
    last_seq: int = 0
    """Number of the last event that the producers before have logged."""
