"""What every store of feedback promises: the same tests on memory and on real Redis servers of every topology."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from msgspec.structs import replace
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.redis.client import open_redis
from chatfleet_api.sessions.feedback import MAX_FEEDBACK, Feedback, FeedbackStore
from chatfleet_api.sessions.opening import open_feedback, open_sessions
from chatfleet_api.sessions.store import Append, Conversation, ResponsePlace, SessionStore, StoredMessage, removed
from harness.pods.live import fixed
from harness.pods.runs import conversations, loop_clock
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

NOW = datetime.now(UTC).isoformat(timespec="milliseconds")


class Stores(NamedTuple):
    sessions: SessionStore
    feedback: FeedbackStore


@pytest.fixture(params=["memory", *TOPOLOGIES, *RESTRICTED])
async def stores(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[Stores]:
    if request.param == "memory":
        sessions = open_sessions(None, conversations(), fixed(0), clock=loop_clock)
        yield Stores(sessions, open_feedback(None, sessions))
        return
    async with open_redis(topologies(request.param), "tests", "chat") as redis_client:
        sessions = open_sessions(redis_client, conversations(), fixed(0), clock=loop_clock)
        yield Stores(sessions, open_feedback(redis_client, sessions))


@pytest.fixture
def tenant() -> str:
    return f"tenant }}{{*/ {uuid7()}"


async def begun(stores: Stores, tenant: str, *messages: str, listed: bool = True) -> str:
    conversation = Conversation(str(uuid7()), None, None, {}, NOW, NOW, listed=listed)
    kept = tuple(StoredMessage(message, "assistant", "hi", NOW) for message in messages)
    if not listed:
        append = Append(kept, now=NOW, expected_version=0, create=conversation, response=ResponsePlace("r", len(kept)))
        await stores.sessions.append(tenant, conversation.id, append)
        return conversation.id
    await stores.sessions.create(tenant, conversation)
    if kept:
        await stores.sessions.append(tenant, conversation.id, Append(kept, now=NOW, expected_version=0))
    return conversation.id


def given(user: str | None = None, message: str | None = None, at: str = "1", **fields: object) -> Feedback:
    return replace(Feedback(user, message, at, at), **fields)


async def missing(stores: Stores, tenant: str, conversation: str) -> None:
    for use in (stores.feedback.all(tenant, conversation), stores.feedback.put(tenant, conversation, given())):
        with pytest.raises(ChatError) as refused:
            await use
        assert refused.value.code is Code.CONVERSATION_NOT_FOUND


@pytest.mark.feature(13)
async def test_feedback_is_one_of_each_user_on_each_message_in_order(stores: Stores, tenant: str) -> None:
    message = str(uuid7())
    conversation = await begun(stores, tenant, message)
    first = given("ann\n", comment="naïve 日本 \n\x00", rating=5, thumb="up")
    others = [given("bob"), given("ann\n", message), given(None), given("")]
    for each in (first, *others):
        assert await stores.feedback.put(tenant, conversation, each) == each
    assert await stores.feedback.all(tenant, conversation) == (first, *others)
    changed = given("ann\n", at="2", thumb="down")
    assert await stores.feedback.put(tenant, conversation, changed) == replace(changed, created_at="1")
    assert await stores.feedback.all(tenant, conversation) == (replace(changed, created_at="1"), *others)


async def test_feedback_is_bounded_and_can_still_be_changed(stores: Stores, tenant: str) -> None:
    conversation = await begun(stores, tenant)
    for number in range(MAX_FEEDBACK):
        await stores.feedback.put(tenant, conversation, given(f"u{number}"))
    with pytest.raises(ChatError) as refused:
        await stores.feedback.put(tenant, conversation, given("one more"))
    assert refused.value.code is Code.INVALID_REQUEST
    await stores.feedback.put(tenant, conversation, given("u0", rating=1))
    kept = await stores.feedback.all(tenant, conversation)
    assert (len(kept), kept[0].rating) == (MAX_FEEDBACK, 1)


async def test_feedback_goes_with_its_conversation_and_with_its_message(stores: Stores, tenant: str) -> None:
    messages = [str(uuid7()), str(uuid7())]
    conversation = await begun(stores, tenant, *messages)
    for message in (*messages, None):
        await stores.feedback.put(tenant, conversation, given("ann", message))
    await stores.sessions.remove(tenant, conversation, removed(messages[0]), now=NOW)
    left = (given("ann", messages[1]), given("ann"))
    assert await stores.feedback.all(tenant, conversation) == left
    again = await stores.feedback.put(tenant, conversation, given("ann", messages[0]))
    assert await stores.feedback.all(tenant, conversation) == (*left, again)
    await stores.sessions.delete(tenant, conversation)
    await missing(stores, tenant, conversation)
    thread = await begun(stores, tenant, str(uuid7()), listed=False)
    await stores.feedback.put(tenant, thread, given("ann"))
    assert await stores.sessions.forget_response(tenant, thread, "r")
    await missing(stores, tenant, thread)


async def test_feedback_changes_nothing_else_and_no_other_tenant_has_it(stores: Stores, tenant: str) -> None:
    conversation = await begun(stores, tenant, str(uuid7()))
    before = await stores.sessions.get(tenant, conversation), await stores.sessions.messages(tenant, conversation)
    await stores.feedback.put(tenant, conversation, given("ann"))
    after = await stores.sessions.get(tenant, conversation), await stores.sessions.messages(tenant, conversation)
    assert after == before
    await missing(stores, "another", conversation)
    await missing(stores, tenant, "not an id")
