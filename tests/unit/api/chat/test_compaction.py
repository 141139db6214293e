"""A summary stands for a conversation; one of another vendor, or what no model can get, is named."""

import pytest
from msgspec import Raw

from chatfleet_api.chat.compaction import sealed_summary, summary_message, summary_request
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Signature, Thought
from chatfleet_api.domain.request import CHAT, RESPONSES, ChatRequest, Message, Sent, Untranslated

HI = Message("user", "Hi")
HELLO = Message("assistant", "Hello", thoughts=[Thought("Hm", Signature("m", "s"))])


def test_a_summary_is_read_as_it_was_written() -> None:
    message = summary_message(sealed_summary("Ann likes té."))
    assert message is not None
    assert str(message.content).endswith("Ann likes té.")


@pytest.mark.parametrize("foreign", ["", "gAAAAABabc", "chatfleet.summary.1.!", "chatfleet.summary.1.w-4="])
def test_a_summary_of_others_is_not_read(foreign: str) -> None:
    assert summary_message(foreign) is None


def test_the_model_is_asked_about_the_messages_without_tools_or_signatures() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    request = summary_request(ChatRequest("m", (HI, HELLO), tools=(tool,), tool_choice="required", max_tokens=9))
    assert request.messages[:2] == (HI, Message("assistant", "Hello"))
    assert (request.messages[-1].role, request.tools, request.tool_choice, request.max_tokens) == ("user", (), None, 9)


def test_what_no_model_can_get_is_named() -> None:
    parts = (Untranslated("tools[0]", "It is custom.", (CHAT,)), Untranslated("input[1]", "It is of another."))
    with pytest.raises(ChatError) as caught:
        summary_request(ChatRequest("m", (HI,), sent=Sent(RESPONSES, Raw(b"{}"), 1, parts)))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "input[1]")
