"""What an answer was worth: the client's claims against the script and the upstream's ledger. Pure."""

from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from itertools import pairwise
from types import MappingProxyType

from harness.clients.received import Closing, ReceivedStream
from harness.upstream.ledger import Call
from harness.upstream.script import Script


class Verdict(StrEnum):
    """From the best to the worst."""

    COMPLETE = "complete"
    """The whole answer, and its end."""
    INTERRUPTED = "interrupted"
    """A true beginning of the answer, and one error."""
    REFUSED = "refused"
    """An HTTP error, and no answer."""
    CUT = "cut"
    """A true beginning of the answer, and a connection that broke: no claim was made."""
    HUNG = "hung"
    """No end within the time that a client waits."""
    LOST = "lost"
    """Something is missing within."""
    DUPLICATED = "duplicated"
    """Something came twice."""
    FALSE_SUCCESS = "false_success"
    """An end that claims to be whole, and is not; or more than one end."""


_WITHOUT_END = MappingProxyType[Closing, Verdict](
    {
        "clean": Verdict.FALSE_SUCCESS,  # a response that ends in good order claims to be whole
        "broken": Verdict.CUT,
        "never": Verdict.HUNG,
    }
)
"""Without any terminal event."""


def listed(ends: Sequence[str]) -> str:
    """Return terminal events as they are quoted in a sentence."""
    return ", ".join(ends) or "no terminal event"


def outcome(verdict: Verdict, received: ReceivedStream) -> str:
    """Return a verdict and its terminal events as they are quoted in a sentence."""
    return f"{verdict} ({listed(received.ends)})"


def judge(received: ReceivedStream, script: Script, calls: list[Call]) -> Verdict:
    """Return what the answer was worth; `calls` are those that the upstream got for this script."""
    if fault := _fault_within(received, script):
        return fault
    if len(received.ends) > 1:
        return Verdict.FALSE_SUCCESS
    if received.ends == ["complete"]:
        true = received.text == script.answer and any(call.ending == "whole" for call in calls)
        return Verdict.COMPLETE if true else Verdict.FALSE_SUCCESS
    if received.ends:
        return Verdict.INTERRUPTED if received.status == HTTPStatus.OK else Verdict.REFUSED
    return _WITHOUT_END[received.closing]


def _fault_within(received: ReceivedStream, script: Script) -> Verdict | None:
    """Return what is wrong with the sequence or with the text, as far as they came."""
    steps = [after - before for before, after in pairwise([0, *received.sequence])]
    if any(step > 1 for step in steps):
        return Verdict.LOST
    if any(step < 1 for step in steps):
        return Verdict.DUPLICATED
    if script.answer.startswith(received.text):
        return None
    tokens = received.text.split()
    return Verdict.DUPLICATED if len(set(tokens)) < len(tokens) else Verdict.LOST
