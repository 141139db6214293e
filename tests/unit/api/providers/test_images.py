"""Images in messages whose role may have none reach the model in a message of the user, with their source."""

from chatfleet_api.domain.request import Function, ImagePart, ImageURL, Message, MessageToolCall, Role, TextPart
from chatfleet_api.providers.images import ELSEWHERE, movable, moved

USERS: tuple[Role, ...] = ("user",)
ONE, TWO = (ImagePart(ImageURL(f"https://example.com/{number}.png")) for number in (1, 2))
ASKED = Message("assistant", tool_calls=[MessageToolCall(ident, Function("f", "{}")) for ident in "ab"])
OF_A, OF_B = (TextPart(f"Images from the result of the tool call {ident}:") for ident in "ab")


def result(ident: str, *parts: TextPart | ImagePart) -> Message:
    return Message("tool", list(parts), tool_call_id=ident)


def test_messages_without_images_and_those_that_may_have_them_stay_as_they_are() -> None:
    messages = [Message("user", [TextPart("a"), ONE]), ASKED, Message("tool", "r", tool_call_id="a")]
    assert moved(messages, USERS) == messages
    assert moved([*messages, result("b", TWO)], ("user", "tool")) == [*messages, result("b", TWO)]


def test_images_of_results_follow_all_results_of_the_answer() -> None:
    messages = [ASKED, result("a", TextPart("See:"), ONE), result("b", TWO)]
    expected = [
        ASKED,
        Message("tool", "See:", tool_call_id="a"),
        Message("tool", ELSEWHERE, tool_call_id="b"),
        Message("user", [OF_A, ONE, OF_B, TWO]),
    ]
    assert moved(messages, USERS) == expected
    answer = Message("assistant", "Nice.")
    assert moved([*messages, answer], USERS) == [*expected, answer]


def test_moved_images_begin_the_next_message_of_the_user() -> None:
    messages = [Message("assistant", [TextPart("Here."), ONE]), Message("user", "Why?", name="Ada")]
    source = TextPart("Images from the assistant's message:")
    assert moved(messages, USERS) == [
        Message("assistant", "Here."),
        Message("user", [source, ONE, TextPart("Why?")], name="Ada"),
    ]


def test_several_texts_stay_apart() -> None:
    message = Message("developer", [TextPart("a"), ONE, TextPart("b")])
    assert moved([message], USERS) == [
        Message("developer", [TextPart("a"), TextPart("b")]),
        Message("user", [TextPart("Images from the instructions:"), ONE]),
    ]


def test_a_call_keeps_its_results_when_the_answer_has_an_image() -> None:
    asked = Message("assistant", [ONE], tool_calls=ASKED.tool_calls)
    messages = moved([asked, result("a", TextPart("r")), result("b", TextPart("r"))], USERS)
    assert [message.role for message in messages] == ["assistant", "tool", "tool", "user"]
    assert messages[0].tool_calls == ASKED.tool_calls


def test_a_moved_image_has_the_position_that_it_comes_from() -> None:
    placed = movable([ASKED, result("a", ONE), Message("user", "a")], USERS)
    assert [(position, is_moved) for position, _, is_moved in placed] == [(0, False), (1, False), (1, True), (2, False)]
