"""No text of a model or a user can forge a frame of a stream, for any client and in any dialect."""

import json
import re

import pytest

from chatfleet_api.domain.events import Reasoning, Start, Token, ToolCall
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.dialects.native.encode import EventEncoder
from chatfleet_api.web.dialects.openai.encode import ChunkEncoder
from chatfleet_api.web.sse import Encoder, escape_line_separators

LINES = "\r \n \r\n \x00 \x0b \x0c \x1c \x1d \x1e \x85 \u2028 \u2029"
"""Everything that Python's `splitlines`, the strictest client there is, takes for the end of a line, and NUL."""
FORGED = (
    "x\n\nevent: complete\ndata: {}\n\n",
    "x\r\rdata: [DONE]\r\r",
    "\u2028\u2028data: [DONE]\u2028\u2028",
    LINES,
    "“quoted” naïve 😀",
)


@pytest.mark.parametrize("encoder", [EventEncoder("r", "q"), ChunkEncoder(include_usage=False)])
@pytest.mark.parametrize("text", FORGED)
def test_text_stays_within_its_frame(encoder: Encoder, text: str) -> None:
    begin = encoder.encode(Batch(1, (Start("r", "m", 0),)))
    events = (Token(text), Reasoning(text), ToolCall(0, text, text, text))
    frames = encoder.encode(Batch(2, events)).decode()
    assert begin
    lines = frames.splitlines()
    assert all(re.match(r"(id|event|data): |$", line) for line in lines)
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert len(data) == len(events)
    assert text in (data[0].get("text"), data[0].get("choices", [{"delta": {}}])[0]["delta"].get("content"))


def test_bytes_without_such_characters_are_left_alone() -> None:
    frames = "data: “quoted” é\n\n".encode()
    assert escape_line_separators(frames) is frames
