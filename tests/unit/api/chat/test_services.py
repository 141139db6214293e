"""How the application services are put together."""

from dataclasses import replace
from unittest.mock import AsyncMock

from chatfleet_api.chat.turn import Seams
from harness.pods.runs import FakeProvider, make_chat


def test_what_features_add_reaches_every_kind_of_run() -> None:
    seams = Seams(steps=AsyncMock())
    chat = make_chat(FakeProvider(), seams=seams)
    runs = (chat.completions, chat.conversations.sender, chat.takeover)
    assert [replace(kind.seams, follow_ups=()) for kind in runs] == [seams] * 3


def test_only_runs_of_conversations_lead_to_titles_and_summaries() -> None:
    chat = make_chat(FakeProvider())
    assert chat.completions.seams.follow_ups == ()
    follow_ups = chat.conversations.sender.seams.follow_ups
    assert [type(each).__name__ for each in follow_ups] == ["Titles", "Summaries"]
    assert chat.takeover.seams.follow_ups is follow_ups
