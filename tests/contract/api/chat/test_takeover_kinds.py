"""What a dying pod leaves of each kind of answer is taken over with all that belongs to it."""

from base64 import b64encode

import pytest

from chatfleet_api.chat.attachments import Attachment
from chatfleet_api.chat.items import NewItem
from chatfleet_api.chat.responses import NewResponse, ResponseKey
from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.events import Agent, Start
from chatfleet_api.domain.request import ChatRequest, ImagePart, ImageURL, Message, Routing
from harness.pods.runs import CALLER, TENANT, FakeProvider, OneModel, collect
from harness.pods.takeovers import REST, Fleet, ask, follow, gapless, read, words

pytestmark = pytest.mark.lasts(70)


async def test_the_heir_asks_with_what_is_attached_to_the_message(fleet: Fleet) -> None:
    silent, heir = FakeProvider(60), FakeProvider(*REST.steps)
    first, second = await fleet(silent, heir)
    conversation = (await first.chat.conversations.create(CALLER)).id
    url = f"data:image/gif;base64,{b64encode(b'GIF89a' + bytes(100_000)).decode()}"
    message = NewMessage("hi", attachments=(Attachment("image", url),))
    run = (await first.chat.conversations.send(CALLER, conversation, message)).id
    reader = follow(second, run)
    await reader.seen(1)
    first.redis.whole = False
    await reader.whole()
    assert heir.asked[0].messages == silent.asked[0].messages
    await collect((await second.chat.conversations.send(CALLER, conversation, NewMessage("and?"))).read())
    content = heir.asked[1].messages[0].content
    assert heir.asked[1].messages[0] == silent.asked[0].messages[0]
    assert content
    assert content[1] == ImagePart(ImageURL(url, "auto"))


async def test_an_answer_again_stays_a_branch_when_its_pod_dies(fleet: Fleet) -> None:
    first, second = await fleet(FakeProvider(60), FakeProvider(*REST.steps))
    conversation = (await second.chat.conversations.create(CALLER)).id
    await collect((await second.chat.conversations.send(CALLER, conversation, NewMessage("hi"))).read())
    question, answer = await second.chat.conversations.messages(CALLER, conversation)
    run = (await first.chat.conversations.send(CALLER, conversation, NewMessage("", again=answer.id))).id
    reader = follow(second, run)
    await reader.seen(1)
    await second.chat.conversations.update(CALLER, conversation, lambda each: each, head=answer.id)
    first.redis.whole = False
    assert words(await reader.whole()) == "three four"
    *before, again = await second.chat.conversations.messages(CALLER, conversation)
    assert (before, again.content, again.parent) == ([question, answer], "three four", question.id)
    assert await second.chat.conversations.current(CALLER, conversation) == (question, answer)


async def test_a_run_without_a_conversation_is_taken_over_when_it_can_be_resumed(fleet: Fleet) -> None:
    first, second = await fleet(FakeProvider(60), FakeProvider(*REST.steps))
    request = ChatRequest("m", (Message("user", "hi"),))
    plain = await first.chat.completions.start(CALLER, request)
    run = await first.chat.completions.start(CALLER, request, retrievable=True)
    await first.chat.log.flush(TENANT, run.id)
    first.redis.whole = False
    assert words(await read(second, run.id)) == "three four"
    assert await second.chat.log.state(TENANT, plain.id) == "unknown"


async def test_a_response_whose_pod_dies_is_ended_by_another_one_and_continued(fleet: Fleet) -> None:
    first, second = await fleet(FakeProvider(60), FakeProvider(*REST.steps))
    asked = NewResponse(ChatRequest("m", ()), (NewItem(Message("user", "hi")),), echo="{}")
    run = await first.chat.responses.create(CALLER, asked)
    start = (await anext(run.read())).events[0]
    assert isinstance(start, Start)
    key = ResponseKey(start.conversation or "", run.id)
    first.redis.whole = False
    assert words(await read(second, run.id)) == "three four"
    found = await second.chat.responses.find(CALLER, key)
    assert (found.answer.status, found.answer.content, found.answer.echo) == ("complete", "three four", "{}")
    next_run = await second.chat.responses.create(CALLER, asked._replace(previous=key))
    assert words(await read(second, next_run.id)) == "three four"
    assert len(await second.chat.sessions.messages(TENANT, key.conversation)) == 4


async def test_a_run_that_has_announced_its_agent_goes_on_with_it(fleet: Fleet) -> None:
    rest = FakeProvider(*REST.steps)
    first, second = await fleet(FakeProvider([Agent("billing", "An invoice.")], 60), rest)
    for pod in (first, second):
        catalogue = pod.chat.catalogue()
        assert isinstance(catalogue, OneModel)
        catalogue.names = ("agent", "agent:billing")
    conversation, run = await ask(first)
    reader = follow(second, run)
    await reader.seen(2)
    first.redis.whole = False
    events = await reader.whole()
    assert gapless(events)
    assert [event for _, event in events if isinstance(event, Agent)] == [Agent("billing", "An invoice.")]
    assert words(events) == "three four"
    (asked,) = rest.asked
    assert (asked.model, asked.routing) == ("agent:billing", Routing(announced=True))
    kept = (await second.chat.sessions.messages(TENANT, conversation))[-1]
    assert (kept.model, kept.status) == ("agent:billing", "complete")
