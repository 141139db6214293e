"""What an answer is worth: the client's claims against the script and the ledger."""

import pytest

from chatfleet_lab.chaos.verdict import Verdict, judge
from harness.clients.events import EventParser
from harness.clients.received import DialectReader, NativeReader, OpenAIReader, ReceivedStream
from harness.upstream.ledger import Call
from harness.upstream.script import Script

SCRIPT = Script("k", 4)
WHOLE = [Call("k", 0, 0.0, ending="whole")]
BROKEN = [Call("k", 0, 0.0, ending="fault")]


def native(*events: str, closing: str = "clean") -> ReceivedStream:
    """Return what a client got of our own dialect: numbered tokens, `complete`, or an error's code."""
    frames = []
    for event in events:
        number, _, what = event.partition(" ")
        kind = "token" if what.startswith("k:") else "complete" if what == "complete" else "error"
        frames.append(
            f'id: r-{number}\nevent: {kind}\ndata: {{"type": "{kind}", "text": "{what} ", "code": "{what}"}}\n\n'
        )
    return received(NativeReader(), "".join(frames), closing)


def openai(*pieces: str, last: str = "", closing: str = "clean") -> ReceivedStream:
    """Return what a client got of OpenAI's dialect: tokens, then `last` as it is."""
    frames = [f'data: {{"choices": [{{"delta": {{"content": "{piece} "}}}}]}}\n\n' for piece in pieces]
    return received(OpenAIReader(), "".join(frames) + last, closing)


def received(reading: DialectReader, stream: str, closing: str) -> ReceivedStream:
    """Return what came of a stream."""
    received = ReceivedStream(status=200)
    for event in EventParser().feed(stream.encode()):
        if piece := reading.take(event, received):
            received.pieces.append(piece)
    received.closing = {"clean": "clean", "broken": "broken", "never": "never"}[closing]  # type: ignore[assignment]
    return received


FINISH = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = "data: [DONE]\n\n"
ERROR = 'data: {"error": {"message": "broke", "type": "server_error", "code": "upstream_truncated"}}\n\n'
TOKENS = ("1 k:0", "2 k:1", "3 k:2", "4 k:3")
PIECES = ("k:0", "k:1", "k:2", "k:3")


@pytest.mark.parametrize(
    ("received", "calls", "verdict"),
    [
        (native(*TOKENS, "5 complete"), WHOLE, Verdict.COMPLETE),
        (native(*TOKENS, "5 complete"), [*BROKEN, *WHOLE], Verdict.COMPLETE),
        (native(*TOKENS, "5 complete"), BROKEN, Verdict.FALSE_SUCCESS),
        (native(*TOKENS, "5 complete"), [], Verdict.FALSE_SUCCESS),
        (native(*TOKENS[:2], "3 complete"), WHOLE, Verdict.FALSE_SUCCESS),
        (native(*TOKENS, "5 complete", "6 internal"), WHOLE, Verdict.FALSE_SUCCESS),
        (native(*TOKENS[:2], "3 upstream_truncated"), BROKEN, Verdict.INTERRUPTED),
        (native("1 upstream_truncated"), BROKEN, Verdict.INTERRUPTED),
        (native(*TOKENS[:2]), BROKEN, Verdict.FALSE_SUCCESS),
        (native(*TOKENS[:2], closing="broken"), BROKEN, Verdict.CUT),
        (native(*TOKENS[:2], closing="never"), BROKEN, Verdict.HUNG),
        (native("1 k:0", "3 k:1"), WHOLE, Verdict.LOST),
        (native("1 k:0", "3 k:2"), WHOLE, Verdict.LOST),
        (native("2 k:1"), WHOLE, Verdict.LOST),
        (native("1 k:0", "1 k:1"), WHOLE, Verdict.DUPLICATED),
        (native("1 k:0", "1 k:0"), WHOLE, Verdict.DUPLICATED),
        (native("1 k:0", "2 k:0", closing="broken"), WHOLE, Verdict.DUPLICATED),
        (native("1 k:0", "2 k:2", closing="broken"), WHOLE, Verdict.LOST),
        (openai(*PIECES, last=FINISH + DONE), WHOLE, Verdict.COMPLETE),
        (openai(*PIECES, last=DONE), WHOLE, Verdict.COMPLETE),
        (openai(*PIECES, last=FINISH + DONE), BROKEN, Verdict.FALSE_SUCCESS),
        (openai(*PIECES[:2], last=DONE), BROKEN, Verdict.FALSE_SUCCESS),
        (openai(*PIECES[:2], last=ERROR), BROKEN, Verdict.INTERRUPTED),
        (openai(*PIECES[:2], last=ERROR + DONE), BROKEN, Verdict.FALSE_SUCCESS),
        (openai(*PIECES[:2]), BROKEN, Verdict.FALSE_SUCCESS),
        (openai("k:0", "k:2", last=FINISH + DONE), BROKEN, Verdict.LOST),
        (openai("k:0", "k:1", "k:0", last=FINISH + DONE), BROKEN, Verdict.DUPLICATED),
    ],
)
def test_a_claim_is_worth_what_the_script_and_the_ledger_say(
    received: ReceivedStream, calls: list[Call], verdict: Verdict
) -> None:
    assert judge(received, SCRIPT, calls) is verdict


def test_an_http_error_is_a_refusal() -> None:
    received = ReceivedStream(status=503)
    OpenAIReader().whole(b'{"error": {"code": "at_capacity"}}', received)
    assert received.ends == ["at_capacity"]
    assert judge(received, SCRIPT, []) is Verdict.REFUSED


def test_a_completion_that_is_no_stream_is_judged_alike() -> None:
    body = b'{"choices": [{"message": {"content": "k:0 k:1 k:2 k:3 "}, "finish_reason": "stop"}]}'
    received = ReceivedStream(status=200)
    OpenAIReader().whole(body, received)
    assert judge(received, SCRIPT, WHOLE) is Verdict.COMPLETE
    assert judge(received, SCRIPT, BROKEN) is Verdict.FALSE_SUCCESS


def test_no_connection_is_no_claim() -> None:
    assert judge(ReceivedStream(closing="broken"), SCRIPT, []) is Verdict.CUT
