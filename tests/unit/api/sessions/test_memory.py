"""The store in memory forgets a conversation when its time is over; every change renews it."""

import asyncio

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.sessions.store import Append, Conversation, StoredMessage
from harness.pods.runs import TENANT, ids, memory_sessions

NOW = "2026-01-01T00:00:00.000+00:00"
pytestmark = pytest.mark.looptime


async def test_a_conversation_is_forgotten_after_its_time() -> None:
    store, new_id = memory_sessions(ttl_seconds=60), ids()
    kept, forgotten = (Conversation(new_id(), None, None, {}, NOW, NOW) for _ in range(2))
    for conversation in (kept, forgotten):
        await store.create(TENANT, conversation)
    await asyncio.sleep(59)
    message = StoredMessage("m", "user", "hi", NOW)
    await store.append(TENANT, kept.id, Append((message,), now=NOW, expected_version=None))
    await asyncio.sleep(1)
    assert [found.id for found in (await store.list(TENANT)).items] == [kept.id]
    with pytest.raises(ChatError) as caught:
        await store.get(TENANT, forgotten.id)
    assert caught.value.code is Code.CONVERSATION_NOT_FOUND
    await asyncio.sleep(59)
    assert (await store.list(TENANT)).items == ()
