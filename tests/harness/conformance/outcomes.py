"""What can become of a property between a client and a vendor."""

import re
from collections.abc import Awaitable, Collection
from enum import StrEnum
from typing import TypeVar

from chatfleet_api.domain.errors import ChatError, Code
from harness.conformance.properties import Property

T = TypeVar("T")


class Outcome(StrEnum):
    """What becomes of a property."""

    PASSED = "passed on"
    """It arrives as it was sent."""
    TRANSLATED = "translated"
    HONORED = "honored"
    """The pod itself acts on it."""
    IN_PART = "in part"
    """Some values are translated, others rejected by name."""
    HINT = "no effect"
    """It changes no answer there: a hint, a label, a part of an earlier answer, or what is done anyway."""
    REJECTED = "rejected"
    """400, by name."""
    NO_COUNTERPART = "no counterpart"
    """Of an answer: the client's API has nothing like it."""
    LOST = "lost"
    """Dropped without a word, or rejected without its name."""


ACCEPTED = frozenset({Outcome.PASSED, Outcome.TRANSLATED, Outcome.HONORED, Outcome.IN_PART, Outcome.HINT})


def summary(found: Collection[Outcome]) -> Outcome:
    """Return what becomes of a property, by what becomes of its values."""
    if Outcome.TRANSLATED in found and Outcome.REJECTED in found and Outcome.LOST not in found:
        return Outcome.IN_PART
    order = (Outcome.LOST, Outcome.TRANSLATED, Outcome.PASSED, Outcome.HONORED, Outcome.REJECTED, Outcome.HINT)
    return next(each for each in order if each in found)


def refused(error: ChatError, each: Property) -> Outcome:
    """Return what an error is: it has to name the property, or what it stands in."""
    named = re.split(r"[.\[]", error.param or "")[0]
    also = {"messages": {"messages", "system"}}.get(each.top, {each.top})
    if named not in also:
        return Outcome.LOST
    if error.code is not Code.INVALID_REQUEST:  # it was looked up
        return Outcome.HONORED
    return Outcome.REJECTED if named in error.message else Outcome.LOST


def run(awaitable: Awaitable[T]) -> T:
    """Return the result of what never waits."""
    try:
        awaitable.__await__().send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")
