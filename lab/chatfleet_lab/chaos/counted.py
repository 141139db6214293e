"""What pods have counted of answers, compared with what the upstream has sent. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from chatfleet_lab.chaos.scenario import Findings
from harness.clients.client import Question, Sums, Tokens
from harness.upstream.ledger import Call

Fate: TypeAlias = Literal["finished", "left", "killed"]

GAP: Final = 0.05
"""Seconds between two tokens."""
PAID: Final = 5
"""Tokens after which an answer must have a record: those of the quarter of a second that a kill may cost."""
LOST: Final = 1.25
"""Seconds of an answer that a kill may cost: from one look at it to the next, and the batch that carries it."""
SLACK: Final = 15
"""Tokens that a busy machine has under way to a pod that is killed."""
PRICE: Final = Tokens(1, 10)
"""USD for a million tokens."""


@dataclass
class Answers:
    """What was asked, and what came of it."""

    asked: dict[str, tuple[Fate, Question]] = field(default_factory=dict)
    """By user."""
    calls: dict[str, list[Call]] = field(default_factory=dict)
    """Of the upstream, by user."""
    sums: dict[str, Sums] = field(default_factory=dict)
    """By user."""

    def add(self, others: "Answers") -> None:
        """Add those of another round."""
        self.asked |= others.asked
        self.calls |= others.calls
        self.sums |= others.sums

    def of(self, fate: Fate) -> list[str]:
        """Return the users whose answers ended so."""
        return [user for user, (each, _) in self.asked.items() if each == fate]

    def paid(self, user: str) -> bool:
        """Return whether so much of the answer was sent that it must be counted."""
        return sum(call.tokens for call in self.calls[user]) > PAID

    def missing(self) -> list[str]:
        """Return the users whose answers must be counted, and are not."""
        return [user for user in self.asked if user not in self.sums and self.paid(user)]


def cost_of(tokens: Iterable[Tokens]) -> Decimal:
    """Return what answers cost at `PRICE`."""
    return sum(
        (each.input_tokens * PRICE.input_tokens + each.output_tokens * PRICE.output_tokens for each in tokens),
        Decimal(0),
    ) / Decimal(1_000_000)


def tokens_of(sums: Sums) -> Tokens:
    return Tokens(sums.input_tokens, sums.output_tokens)


def usd_of(sums: Sums) -> Decimal:
    return Decimal(sums.cost_usd or 0)


def compare(found: Findings, answers: Answers, most_off: float) -> None:
    """Compare what was counted with what the upstream has sent: of those who left, they may differ by `most_off` %."""
    missing = answers.missing()
    doubled = [user for user, sums in answers.sums.items() if sums.requests > 1]
    found.figures |= {
        "answers that ended": len(answers.of("finished")),
        "answers left": len(answers.of("left")),
        "answers of killed pods": len(answers.of("killed")),
        "missing": len(missing),
        "doubled": len(doubled),
    }
    found.require(not missing, f"{len(missing)} of {len(answers.asked)} answers are missing in the sums.")
    found.require(not doubled, f"{len(doubled)} of {len(answers.asked)} answers are twice in the sums.")
    sent, counted = _compared(answers, answers.of("left"))
    off = 100 * abs(counted - sent) / max(sent, 1)
    found.figures |= {"tokens sent to those who left": sent, "differ by %": round(off, 2)}
    found.require(off <= most_off, f"Of those who left {counted} tokens are counted, and {sent} were sent.")
    present = [user for user in answers.of("killed") if user in answers.sums]
    sent, counted = _compared(answers, present)
    found.figures |= {"tokens sent to killed pods": sent, "of them not counted": sent - counted}
    for user in present:
        sent, counted = _compared(answers, [user])
        found.require(
            0 <= sent - counted <= LOST / GAP + SLACK,
            f"Of an answer of a killed pod {counted} tokens are counted, and {sent} were sent.",
        )


def _compared(answers: Answers, users: Sequence[str]) -> tuple[int, int]:
    """Return the output tokens that the upstream has sent, and those that were counted, wasted ones too."""
    counted = [answers.sums[user] for user in users if user in answers.sums]
    sent = sum(call.tokens for user in users for call in answers.calls[user])
    return sent, sum(each.output_tokens + each.wasted_output_tokens for each in counted)
