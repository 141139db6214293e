"""Which changes of the status become Events, and which of these are Warnings. Pure.

While pods start, conditions that are not met yet are no news: only what lasts is a Warning. A loss is one at once.
Available repeats no Event of Ready, and the conditions of kstatus repeat none of the conditions they summarize.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from chatfleet_contract.status import ChatDeploymentStatus, Condition, ConditionStatus, ConditionType, Reason
from chatfleet_operator.model.values import Notice
from chatfleet_operator.status.conditions import SUMMARIES

BUDGET_WARNING_PERCENT: Final = 80

INTENDED: Final = frozenset(
    {Reason.ANONYMOUS, Reason.COMPLETE, Reason.DISABLED, Reason.SCALED_TO_ZERO, Reason.SUSPENDED}
)
"""Reasons of a condition that is False because the spec or an autoscaler wants it."""

STARTING: Final = frozenset(
    {Reason.BLOCKED, Reason.NO_READY_PODS, Reason.NOT_ENFORCED, Reason.REQUEST_FAILED, Reason.UNAVAILABLE}
)
"""Reasons that end by themselves while pods start."""

FIRST_METRICS: Final = frozenset({Reason.METRICS_UNAVAILABLE})
"""Reasons of an autoscaler that has not read its metrics yet; its own Events report it."""


def is_warning(condition: Condition) -> bool:
    """Whether `condition` needs attention."""
    return condition.status is ConditionStatus.FALSE and condition.reason not in INTENDED


def events(before: ChatDeploymentStatus, after: ChatDeploymentStatus) -> Iterator[Condition]:
    """Return the conditions of `after` that are worth an Event."""
    found = [one for one in _worth_an_event(_by_type(before), _by_type(after)) if one.type not in SUMMARIES]
    ready = any(condition.type == ConditionType.READY for condition in found)
    return (condition for condition in found if not (ready and condition.type == ConditionType.AVAILABLE))


def notices(before: ChatDeploymentStatus, after: ChatDeploymentStatus) -> Iterator[Notice]:
    """Yield what else is worth an Event: how far the budget is used, once for each step."""
    known, used = before.budget_used_percent or 0, after.budget_used_percent or 0
    if known < 100 <= used:  # noqa: PLR2004  # percent
        text = "The budget of the ChatDeployment is exhausted, and requests are refused; raise limits.budget or wait."
        yield Notice("BudgetExhausted", text)
    elif known < BUDGET_WARNING_PERCENT <= used:
        text = f"{used} % of the budget of the ChatDeployment is used or reserved; raise limits.budget before it ends."
        yield Notice("BudgetNearlyExhausted", text)


def _worth_an_event(old: Mapping[str, Condition], new: Mapping[str, Condition]) -> Iterator[Condition]:
    for kind, condition in new.items():
        known = old.get(kind)
        warned = known is not None and is_warning(known) and not _is_expected(known, None, old)
        same = known is not None and (known.status, known.reason) == (condition.status, condition.reason)
        if is_warning(condition):
            if not _is_expected(condition, known, new) and not (warned and same):
                yield condition
        elif not same and (warned or _is_news(condition, known)):
            yield condition


def _by_type(status: ChatDeploymentStatus) -> Mapping[str, Condition]:
    return {condition.type: condition for condition in status.conditions or ()}


def _is_expected(condition: Condition, before: Condition | None, status: Mapping[str, Condition]) -> bool:
    """Whether `condition` is False because pods have not started yet, and was not True before."""
    if before is not None and before.status is ConditionStatus.TRUE:
        return False
    progressing = status.get(ConditionType.PROGRESSING)
    starts = progressing is not None and progressing.reason == Reason.ROLLING_OUT
    return condition.reason in FIRST_METRICS or (starts and condition.reason in STARTING)


def _is_news(condition: Condition, before: Condition | None) -> bool:
    """Whether a condition that is no Warning is worth an Event."""
    if condition.type == ConditionType.PROGRESSING:
        return True
    if condition.type == ConditionType.READY:
        return condition.status is not ConditionStatus.UNKNOWN
    return condition.type != ConditionType.AVAILABLE and before is not None and before.status is ConditionStatus.TRUE
