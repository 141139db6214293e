"""An answer that was cut goes on where it stopped, in the way that its model can."""

import asyncio
import time

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.policies.fallback import Fallback
from chatfleet_api.providers.policies.prefill import Prefill
from chatfleet_api.providers.provider import StreamItem
from chatfleet_api.providers.vendors.anthropic import request as anthropic
from chatfleet_api.providers.vendors.openai.request import compatible_body
from chatfleet_api.providers.vendors.scripted.provider import Scripted
from chatfleet_contract.spec.provider_types import Continuation
from harness.pods.runs import STOP, FakeProvider, text
from harness.upstream.catalogue import ask

QUESTION = Message("user", "Hi.")


def cut(said: str) -> ChatRequest:
    return ChatRequest("m", (QUESTION, Message("assistant", said)), continues=True)


async def sent(said: str, continuation: Continuation) -> ChatRequest:
    script = FakeProvider([STOP])
    await ask(Prefill(script, continuation), cut(said))
    return script.asked[0]


@pytest.mark.parametrize(
    ("said", "answer", "rest"),
    [
        ("Hello", [" wor", "ld"], " world"),
        ("Hello ", [" wor", "ld"], "world"),
        ("Hello ", ["wor", "ld"], "world"),
        ("Hello\n\n", ["\n", "\nNext"], "Next"),
        ("Hello\n\n", ["\n", "Next"], "Next"),
        ("Hello\n", [" Next"], " Next"),
        ("Hello \n", [" \n", "\n x"], "\n x"),
        ("  ", ["  Hello"], "Hello"),
    ],
)
async def test_the_space_that_readers_have_is_not_said_again(said: str, answer: list[str], rest: str) -> None:
    script = FakeProvider(*(text(word) for word in answer), [STOP])
    outcome = await ask(Prefill(script, "prefill"), cut(said))
    assert outcome.text == rest
    assert outcome.pieces[-1] == STOP
    assert all(outcome.batches)


async def test_the_text_is_sent_without_the_space_at_its_end() -> None:
    assert (await sent("Hello \n", "prefill")).messages == (QUESTION, Message("assistant", "Hello"))


async def test_nothing_but_space_is_asked_for_anew() -> None:
    assert await sent(" ", "continueFinalMessage") == ChatRequest("m", (QUESTION,))


async def test_only_who_needs_the_mark_gets_it() -> None:
    assert (await sent("Hello", "continueFinalMessage")).continues
    assert not (await sent("Hello", "prefill")).continues


async def test_a_request_that_continues_nothing_passes_as_it_is() -> None:
    script = FakeProvider(text(" a"), [STOP])
    asked = ChatRequest("m", (QUESTION, Message("assistant", "Hello ")))
    outcome = await ask(Prefill(script, "prefill"), asked)
    assert (script.asked, outcome.text) == ([asked], " a")


def test_a_compatible_server_is_told_to_go_on_with_the_last_message() -> None:
    body = msgspec.json.decode(compatible_body(cut("Hello")))
    assert body["messages"][-1] == {"role": "assistant", "content": "Hello"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert "continues" not in body


async def test_anthropic_gets_the_beginning_as_the_assistants_last_message() -> None:
    body = msgspec.json.decode(anthropic.body(await sent("Hello ", "prefill")))
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}


@pytest.mark.parametrize("said", [0, 1, 3])
async def test_a_script_goes_on_where_it_stopped(said: int) -> None:
    pieces: list[StreamItem] = [Token("1"), Token(" 2"), Token(" 3")]
    begun = "".join(piece.text for piece in pieces[:said] if isinstance(piece, Token))
    request = ChatRequest("count-3", (QUESTION, Message("assistant", begun)), continues=True)
    assert (await ask(Prefill(Scripted(clock=time.monotonic, sleep=asyncio.sleep), "prefill"), request)).pieces[
        :-1
    ] == pieces[said:]


async def test_no_other_model_goes_on_with_an_answer() -> None:
    other = FakeProvider(text("b"), [STOP])
    chain = Fallback([FakeProvider(ChatError(Code.UPSTREAM_ERROR)), other])
    assert (await ask(chain, cut("a"))).code is Code.UPSTREAM_ERROR
    assert not other.asked
