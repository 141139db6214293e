"""How the application services are put together."""

from chatfleet_api.chat.turn import Seams
from harness.pods.runs import FakeProvider, make_chat


def test_what_features_add_reaches_every_kind_of_run() -> None:
    seams = Seams()
    chat = make_chat(FakeProvider(), seams=seams)
    runs = (chat.completions, chat.conversations.sender, chat.takeover)
    assert all(kind.seams is seams for kind in runs)
