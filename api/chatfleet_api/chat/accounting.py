"""What an answer has used, priced and counted at its end: once, whatever became of it.

The numbers are those of its attempts (`usage/attempts.py`). What pods that died have used of it is an estimate from the
log: a part of the answer when something of it was visible, else wasted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from chatfleet_api.domain.events import Complete, Failed, Start, Terminal, Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.runs.run import Run
from chatfleet_api.usage.attempts import Attempt
from chatfleet_api.usage.ledger import Ledger
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.record import Charge, Consumer, UsageRecord, charges_of, used_by, used_by_agents


class ChargeMeter(Protocol):
    """Counts what is charged."""

    def charged(self, tenant: str, charge: Charge) -> None:
        """Count the cost of an attempt, or that it is not known, and the tokens of one that was wasted."""
        ...


class Used(NamedTuple):
    """One answer that has ended, before its end is published."""

    start: Start
    consumer: Consumer
    attempts: Sequence[Attempt]
    lost: Usage | None = None
    """What pods that died have used of it."""
    lost_visible: bool = False
    """Whether something of that was visible."""


def consumer_of(principal: Principal, user: str | None = None) -> Consumer:
    """Return whom an answer is for; `user` is that of its conversation, which counts where the caller names none."""
    return Consumer(principal.user or user or "", principal.subject or "")


@dataclass(frozen=True, kw_only=True)
class Accounting:
    """Prices answers, and adds each to the ledger."""

    ledger: Ledger
    prices: Live[PriceBook]
    now: Callable[[], datetime]
    """The time of day, with zone UTC."""
    meter: ChargeMeter

    def settle(self, run: Run, used: Used, end: Terminal) -> Terminal:
        """Return the end with what the answer has used and what that costs; the step that stores it counts it."""
        at = self.now()
        charges = charges_of(self._attempts(used, end), self.prices(), at)
        if not charges:
            return end
        start = used.start
        outcome = "complete" if isinstance(end, Complete) else end.code
        day, conversation = at.date().isoformat(), start.conversation or ""
        record = UsageRecord(run.id, run.tenant, used.consumer, day, outcome, charges, conversation)
        if run.logged:
            run.settlement = self.ledger.settlement(record)
        else:
            self.ledger.add(record)
        for charge in charges:
            self.meter.charged(run.tenant, charge)
        usage = used_by(charges)
        if usage is None:
            return end
        if isinstance(end, Failed):
            return replace(end, usage=usage)
        return replace(end, usage=usage, agents=used_by_agents(charges))

    def add(self, tenant: str, used: Used) -> Usage | None:
        """Count what is no run; return it with its cost."""
        at = self.now()
        charges = charges_of(used.attempts, self.prices(), at)
        if charges:
            day = at.date().isoformat()
            self.ledger.add(UsageRecord(used.start.run, tenant, used.consumer, day, "complete", charges))
            for charge in charges:
                self.meter.charged(tenant, charge)
        return used_by(charges)

    def _attempts(self, used: Used, end: Terminal) -> Sequence[Attempt]:
        """Return the attempts of an answer, the one that ended it last."""
        model = used.start.model
        named = self.prices().named(model)
        attempts = [*used.attempts]
        if not attempts and isinstance(end, Complete):  # it was whole before this pod had it
            provider, upstream = end.provider or named.provider, end.upstream_model or named.upstream_model
            attempts = [Attempt(provider, model, upstream, end.usage)]
        if used.lost is not None:
            lost = Attempt(named.provider, model, named.upstream_model, used.lost, wasted=not used.lost_visible)
            attempts.insert(0, lost)
        return attempts


def accounted(accounting: Accounting | None, run: Run, used: Used, end: Terminal) -> Terminal:
    """Return the end of a run with all that its answer has used."""
    if accounting is not None:
        return accounting.settle(run, used, end)
    if used.lost is None:
        return end
    return replace(end, usage=used.lost if end.usage is None else end.usage + used.lost)
