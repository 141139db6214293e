"""How the application services are put together."""

from dataclasses import replace
from unittest.mock import AsyncMock

from chatfleet_api.chat.turn import Seams
from harness.pods.runs import FakeProvider, make_chat


def test_what_features_add_reaches_every_kind_of_run() -> None:
    seams = Seams(steps=AsyncMock())
    chat = make_chat(FakeProvider(), seams=seams)
    runs = (chat.completions, chat.conversations.sender, chat.takeover)
    assert [replace(kind.seams, titles=None) for kind in runs] == [seams] * 3


def test_only_runs_of_conversations_lead_to_titles() -> None:
    chat = make_chat(FakeProvider())
    assert chat.completions.seams.titles is None
    titles = chat.conversations.sender.seams.titles
    assert titles is not None
    assert chat.takeover.seams.titles is titles
