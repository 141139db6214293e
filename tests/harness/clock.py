"""A clock that a test moves."""


class ManualClock:
    """Time in seconds that stands still until a test sets `now`."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
