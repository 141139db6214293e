"""Which messages of a conversation go to the model: as many as fit, whole turns, and never less than must stay."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.responses import NewResponse, ResponseKey
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.chat.takeover import remainder
from chatfleet_api.chat.window import STEPS, Asked, Window, asked, first_kept, token_counts
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Citation, Complete, ContextUse, Start, Usage
from chatfleet_api.domain.request import ChatRequest, Function, Message, MessageToolCall
from chatfleet_api.domain.usage_estimate import tokens_of
from chatfleet_api.providers.provider import Finish
from chatfleet_api.sessions.store import StoredMessage
from chatfleet_contract import metrics
from harness.pods.api_pod import Pod
from harness.pods.runs import CALLER, FakeProvider, collect, text

NOW = "2026-01-01T00:00:00.000+00:00"
ROLES = {"s": "system", "d": "developer", "u": "user", "a": "assistant", "c": "assistant", "t": "tool"}
QUESTION = ChatRequest("m", (Message("user", "q" * 40),))
RESULTS = ChatRequest("m", (Message("tool", "r" * 40, tool_call_id="c"),))


def said(kinds: str, size: int = 40) -> tuple[StoredMessage, ...]:
    """Return messages of the kinds with these letters, each of `size` bytes; `c` calls a tool."""
    return tuple(_said(kind, at, size) for at, kind in enumerate(kinds))


def _said(kind: str, at: int, size: int) -> StoredMessage:
    message = StoredMessage(str(at), ROLES[kind], f"{at}".ljust(size, "."), NOW)  # type: ignore[arg-type]  # a role
    if kind == "t":
        output = f'{{"type":"function_call_output","call_id":"c","output":"{message.content}"}}'
        return replace(message, item=output)
    return message if kind != "c" else replace(message, tool_calls=[MessageToolCall("c", Function("f", "{}"))])


def kept(result: Asked) -> str:
    """Return the places of the messages before that went."""
    texts = [str(message.content) for message in result.request.messages if message.content is not None]
    return "".join(each.rstrip(".") for each in texts if each[0].isdigit())


@pytest.mark.parametrize(
    ("kinds", "request_", "most", "places", "left_out"),
    [
        ("uaua", QUESTION, 50, "0123", 0),
        ("uaua", QUESTION, 49, "23", 2),
        ("uaua", QUESTION, 16, "", 4),
        ("suaua", QUESTION, 40, "034", 2),
        ("uadua", QUESTION, 40, "234", 2),
        ("auaua", QUESTION, 59, "1234", 1),
        ("uuua", QUESTION, 40, "123", 1),
        ("uauct", RESULTS, 16, "234", 2),
        ("uct", RESULTS, 16, "012", 0),
    ],
)
def test_the_oldest_turns_do_not_go_when_they_do_not_fit(
    kinds: str, request_: ChatRequest, most: int, places: str, left_out: int
) -> None:
    result = asked(Window(most), said(kinds), request_)
    assert kept(result) == places
    assert result.use == ContextUse(len(result.request.messages), left_out)
    assert result.request.messages[-1] == request_.messages[-1]


def test_a_result_of_a_tool_that_only_its_vendor_has_stays_with_its_call() -> None:
    first, one, asked_, call, result, after = said("uauaua")
    asked_ = replace(asked_, item=f'{{"role":"user","content":"{asked_.content}"}}')
    call = replace(call, item='{"type":"computer_call","call_id":"c"}')
    result = replace(result, item='{"type":"computer_call_output","call_id":"c"}')
    places = [
        first_kept([first, one, asked_, call, result, after], [10] * 6, total=70, most=most, has_question=True)
        for most in (70, 54, 38)
    ]
    assert places == [0, 2, 6]


def test_without_a_window_all_goes() -> None:
    assert asked(Window(), said("uaua" * 1000), QUESTION).use is None


def test_what_may_not_be_trimmed_goes_whole() -> None:
    result = asked(Window(16), said("uaua"), QUESTION, may_trim=False)
    assert result.use == ContextUse(5, 0)


@pytest.mark.feature(39)
def test_a_window_that_rejects_names_both_numbers() -> None:
    assert asked(Window(50, "reject"), said("uaua"), QUESTION).use == ContextUse(5, 0)
    with pytest.raises(ChatError, match="about 50 tokens with this message; at most 49") as caught:
        asked(Window(49, "reject"), said("uaua"), QUESTION)
    assert caught.value.code is Code.CONTEXT_TOO_LONG


def test_instructions_and_tools_of_a_request_count() -> None:
    tool = {"type": "function", "function": {"name": "f" * 40}}
    before, fits = said("uaua"), Window(59)
    assert kept(asked(fits, before, replace(QUESTION, tools=(tool,)))) == "23"
    instructed = asked(fits, before, QUESTION, [Message("system", "s" * 40)])
    assert instructed.request.messages[0] == Message("system", "s" * 40)
    assert kept(instructed) == "23"


def answered(message: StoredMessage, tokens_in: int, tokens_out: int, **changed: object) -> StoredMessage:
    usage = Usage(tokens_in, tokens_out)
    return replace(message, usage=usage, upstream_model="m1", **changed)


def test_what_a_vendor_has_counted_is_taken() -> None:
    first, one, second, two, third = said("uauau")
    known = first, answered(one, 100, 30), second, answered(two, 137, 30), third
    assert token_counts(known) == [10, 30, 7, 30, 10]


def test_a_count_of_more_than_the_text_is_not_taken() -> None:
    first, one = said("ua")
    assert [token_counts((first, answered(one, 100, out)))[1] for out in (40, 41)] == [40, 10]


def test_reasoning_is_no_part_of_the_next_prompt() -> None:
    first, one = said("ua")
    counted = replace(one, usage=Usage(100, 30, reasoning_tokens=25))
    assert token_counts((first, counted)) == [10, 5]


@pytest.mark.parametrize(
    "other",
    [
        {"upstream_model": "m2"},
        {"usage": Usage(137, 30, estimated=True)},
        {"context": ContextUse(3, 8)},
        {"status": "cancelled"},
        {"usage": Usage(110, 30)},
        {"usage": Usage(171, 30)},
        {"citations": (Citation("faq.md", 1, 0.5),)},
        {"usage": None},
    ],
)
def test_prompts_that_cannot_be_compared_count_nothing(other: dict[str, object]) -> None:
    first, one, second, two = said("uaua")
    known = first, answered(one, 100, 30), second, replace(answered(two, 137, 30), **other)
    assert token_counts(known)[2] == 10


WINDOWS = st.integers(16, 400)
REQUESTS = st.sampled_from([QUESTION, RESULTS])


@st.composite
def histories(draw: st.DrawFn) -> tuple[StoredMessage, ...]:
    turns = draw(st.lists(st.sampled_from(["ua", "uca", "uctta", "u", "uctct", "s", "d"]), max_size=12))
    kinds = draw(st.sampled_from(["", "s", "a", "sa"])) + "".join(turns)
    return tuple(_said(kind, at, draw(st.integers(0, 200))) for at, kind in enumerate(kinds))


def split(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Return instructions, and all else."""
    instructions = [message for message in messages if message.role in ("system", "developer")]
    return instructions, [message for message in messages if message not in instructions]


@pytest.mark.feature(39)
@settings(max_examples=200)
@given(before=histories(), request_=REQUESTS, most=WINDOWS)
def test_instructions_and_the_last_whole_turns_go_and_fit(
    before: tuple[StoredMessage, ...], request_: ChatRequest, most: int
) -> None:
    request, use = asked(Window(most), before, request_)
    everything = asked(Window(), before, request_).request
    assert use is not None
    if sum(token_counts(before)) + tokens_of(request_) <= most:
        assert use.left_out == 0
    if use.left_out == 0:
        assert request == everything
        return
    (instructions, rest), (all_instructions, all_rest) = split(request.messages), split(everything.messages)
    assert instructions == all_instructions
    assert rest == all_rest[-len(rest) :]
    assert rest[0].role == "user"
    if sum(message.role == "user" for message in rest) > 1:
        assert tokens_of(request) <= most


@settings(max_examples=100)
@given(turns=st.integers(20, 60), most=st.integers(200, 400))
def test_prompts_of_turns_in_a_row_begin_alike(turns: int, most: int) -> None:
    uses = [asked(Window(most), said("ua" * turn), QUESTION).use for turn in range(turns)]
    begins = {use.left_out for use in uses if use is not None}
    assert len(begins) <= 2 + turns * 20 // (most // STEPS)


@pytest.mark.looptime
async def test_the_end_of_an_answer_and_a_metric_have_what_was_left_out() -> None:
    provider = FakeProvider(text("o" * 40), [Finish("stop", Usage(10, 10))])
    pod = Pod(provider)
    conversation = (await pod.chat.conversations.create(CALLER)).id
    ends = []
    for most in (None, 70, 16):
        pod.change("conversations", context_tokens=most)
        run = await pod.chat.conversations.send(CALLER, conversation, NewMessage("q" * 40))
        end = (await collect(run.read()))[-1][1]
        assert isinstance(end, Complete)
        ends.append(end.context)
    assert ends == [None, ContextUse(3, 0), ContextUse(1, 4)]
    assert [len(request.messages) for request in provider.asked] == [1, 3, 1]
    assert f"{metrics.CONTEXT_MESSAGES_LEFT_OUT_TOTAL} 4.0" in pod.meter.exposition().decode()
    *_, stored = await pod.chat.conversations.messages(CALLER, conversation)
    repeated = remainder((), stored)[-1]
    assert isinstance(repeated, Complete)
    assert repeated.context == ContextUse(1, 4)


@pytest.mark.looptime
@pytest.mark.parametrize(("truncates", "got"), [(True, 1), (False, 3)])
@pytest.mark.parametrize("store", [True, False])
async def test_of_a_chain_of_responses_only_what_may_be_truncated_is_trimmed(
    *, truncates: bool, got: int, store: bool
) -> None:
    provider = FakeProvider(text("o" * 40), [Finish("stop", Usage(10, 10))])
    pod = Pod(provider)
    pod.change("conversations", context_tokens=16)
    request = replace(QUESTION, truncates=truncates, messages=())
    new = NewResponse(request, (NewItem(QUESTION.messages[0]),))
    first = await pod.chat.responses.create(CALLER, new)
    start = (await collect(first.read()))[0][1]
    assert isinstance(start, Start)
    previous = ResponseKey(start.conversation or "", first.id)
    second = await pod.chat.responses.create(CALLER, new._replace(previous=previous, store=store))
    await collect(second.read())
    assert len(provider.asked[-1].messages) == got


@pytest.mark.looptime
async def test_what_is_rejected_is_not_stored() -> None:
    pod = Pod(FakeProvider([Finish("stop", Usage(10, 10))]))
    pod.change("conversations", context_tokens=16, overflow="reject")
    conversation = (await pod.chat.conversations.create(CALLER)).id
    with pytest.raises(ChatError) as caught:
        await pod.chat.conversations.send(CALLER, conversation, NewMessage("q" * 100))
    assert caught.value.code is Code.CONTEXT_TOO_LONG
    assert await pod.chat.conversations.messages(CALLER, conversation) == ()
