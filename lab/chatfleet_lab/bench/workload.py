"""What one stream of the benchmark consists of."""

from typing import NamedTuple

from harness.upstream.script import Script


class Workload(NamedTuple):
    """So many tokens, so fast."""

    tokens: int
    rate: int = 0
    """Tokens per second; 0: as fast as they can be sent."""

    def ask(self) -> str:
        """Return the message that makes the upstream stream this; it passes unchanged through all that is measured."""
        return Script("bench", self.tokens, gap=1 / self.rate if self.rate else 0.0).question
