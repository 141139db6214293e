"""What a run that no log has has used so far, for other pods to count if this one dies."""

from contextlib import AbstractContextManager, nullcontext

from chatfleet_api.chat.accounting import Accounting
from chatfleet_api.runs.run import Run
from chatfleet_api.usage.attempts import Attempts
from chatfleet_api.usage.open_answers import OpenAnswer
from chatfleet_api.usage.record import Consumer


def followed(
    accounting: Accounting | None, run: Run, consumer: Consumer, attempts: Attempts
) -> AbstractContextManager[None]:
    """Follow the run within the block, unless the fleet does."""
    if accounting is None or run.logged:
        return nullcontext()

    def look() -> OpenAnswer | None:
        so_far = attempts.so_far()
        return OpenAnswer(run.id, run.tenant, consumer, so_far) if so_far else None

    return accounting.ledger.following(run.id, look)
