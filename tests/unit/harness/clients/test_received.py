"""What a client makes of the Responses dialect, and how long it waited."""

import pytest

from chatfleet_lab.chaos.verdict import Verdict, judge
from harness.clients.events import EventParser
from harness.clients.received import ReceivedStream, ResponsesReader
from harness.upstream.ledger import Call
from harness.upstream.script import Script

SCRIPT = Script("k", 2)
WHOLE = [Call("k", 0, 0.0, ending="whole")]
CREATED = '{"type":"response.created","sequence_number":0,"response":{"id":"resp_1"}}'
TOKENS = tuple(
    f'{{"type":"response.output_text.delta","sequence_number":{number},"delta":"k:{number - 1} "}}' for number in (1, 2)
)
COMPLETED = '{"type":"response.completed","sequence_number":3,"response":{"id":"resp_1"}}'
FAILED = '{"type":"response.failed","sequence_number":2,"response":{"error":{"code":"server_error"}}}'


def read(*events: str) -> ReceivedStream:
    """Return what came of a stream of these events."""
    received, reader = ReceivedStream(status=200, closing="clean"), ResponsesReader()
    for event in EventParser().feed("".join(f"data: {event}\n\n" for event in events).encode()):
        if piece := reader.take(event, received):
            received.pieces.append(piece)
    return received


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ((CREATED, *TOKENS, COMPLETED), Verdict.COMPLETE),
        ((CREATED, TOKENS[0], FAILED), Verdict.INTERRUPTED),
        ((CREATED, TOKENS[1], COMPLETED), Verdict.LOST),
        ((CREATED, TOKENS[0], *TOKENS, COMPLETED), Verdict.DUPLICATED),
        ((CREATED, *TOKENS), Verdict.FALSE_SUCCESS),
    ],
)
def test_a_response_is_worth_what_its_numbers_and_its_script_say(events: tuple[str, ...], verdict: Verdict) -> None:
    assert judge(read(*events), SCRIPT, WHOLE) is verdict


def test_a_response_says_what_to_ask_for_when_coming_back() -> None:
    received = read(CREATED, TOKENS[0])
    assert (received.run, received.sequence[-1]) == ("resp_1", 2)


def test_waits_are_counted_from_the_question_and_from_event_to_event() -> None:
    received = ReceivedStream(asked=10.0)
    for now in (10.5, 10.75):
        received.note_event(now)
    assert received.waits == [0.5, 0.25]
