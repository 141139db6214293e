"""What every session store promises: the same tests on memory and on real Redis servers of every topology."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError, Code, ConversationChangedError
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.request import Function, MessageToolCall
from chatfleet_api.redis.client import open_redis
from chatfleet_api.sessions.listing import ALL, SCANNED, Wanted
from chatfleet_api.sessions.memory import MemorySessionStore
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.store import (
    MAX_QUEUED,
    Append,
    Change,
    Conversation,
    Head,
    IdempotencyRecord,
    Page,
    ResponsePlace,
    SessionStore,
    StoredMessage,
    removed,
)
from chatfleet_api.sessions.tree import current_path, emptied, path_to
from harness.pods.live import fixed
from harness.pods.runs import conversations, loop_clock
from harness.redis.topologies import RESTRICTED, TOPOLOGIES, Topologies

BEGAN = datetime.now(UTC)


@pytest.fixture(params=["memory", *TOPOLOGIES, *RESTRICTED])
async def store(request: pytest.FixtureRequest, topologies: Topologies) -> AsyncIterator[SessionStore]:
    if request.param == "memory":
        yield MemorySessionStore(conversations(), clock=loop_clock)
        return
    async with open_redis(topologies(request.param), "tests", "chat") as redis_client:
        yield RedisSessionStore(redis_client, conversations(), fixed(0))


@pytest.fixture
def tenant() -> str:
    return f"tenant }}{{*/ {uuid7()}"


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def conversation(seconds: float = 0, user_id: str | None = None) -> Conversation:
    return Conversation(str(uuid7()), user_id, "title", {"k": ["v", 1]}, at(seconds), at(seconds))


def message(content: str = "hi") -> StoredMessage:
    return StoredMessage(str(uuid7()), "user", content, at(0))


async def kept(store: SessionStore, tenant: str, seconds: float = 0, user_id: str | None = None) -> str:
    new = conversation(seconds, user_id)
    await store.create(tenant, new)
    return new.id


async def append(
    store: SessionStore, tenant: str, target: str, *messages: StoredMessage, expected: int | None = None
) -> int:
    return await store.append(tenant, target, Append(messages or (message(),), now=at(1), expected_version=expected))


async def listed(store: SessionStore, tenant: str, user_id: str | None = None) -> list[str]:
    return [found.id for found in (await store.list(tenant, Wanted(user_id=user_id))).items]


def refused(code: Code) -> "pytest.RaisesExc[ChatError]":
    return pytest.RaisesExc(ChatError, check=lambda error: error.code is code)


async def test_a_new_conversation_is_there_and_empty(store: SessionStore, tenant: str) -> None:
    new = conversation()
    await store.create(tenant, new)
    assert await store.get(tenant, new.id) == new
    assert await store.messages(tenant, new.id) == ()
    assert await listed(store, tenant) == [new.id]


async def test_creating_twice_changes_nothing(store: SessionStore, tenant: str) -> None:
    new = conversation()
    await store.create(tenant, new)
    await append(store, tenant, new.id)
    await store.create(tenant, new)
    assert (await store.get(tenant, new.id)).version == 1


@pytest.mark.feature(33, 35)
async def test_messages_come_back_in_order_and_whole(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    said = message("naïve 日本 \n\x00")
    answer = StoredMessage(
        str(uuid7()),
        "assistant",
        "text",
        at(2),
        status="failed",
        run="run",
        provider="p",
        model="m",
        finish_reason="stop",
        error_code=Code.UPSTREAM_STALLED,
        tool_calls=[MessageToolCall("id", Function("f", "{}"))],
        reasoning="hm",
        usage=Usage(1, 2, 3, 4, 5, estimated=True),
        latency_ms=7,
    )
    await append(store, tenant, target, said, answer)
    await append(store, tenant, target, third := message("third"))
    assert await store.messages(tenant, target) == (said, answer, third)


async def test_an_append_counts_one_version_and_moves_the_last_change(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    assert await append(store, tenant, target, message(), message()) == 1
    assert await append(store, tenant, target) == 2
    found = await store.get(tenant, target)
    assert (found.version, found.updated_at, found.created_at) == (2, at(1), at(0))


async def test_a_later_entry_replaces_an_earlier_one_in_its_place(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    pending = StoredMessage(str(uuid7()), "assistant", "", at(0), status="pending")
    await append(store, tenant, target, pending)
    await append(store, tenant, target, after := message("after"))
    await append(store, tenant, target, final := replace(pending, content="done", status="complete"))
    assert await store.messages(tenant, target) == (final, after)


async def test_an_append_repeated_after_a_lost_reply_changes_nothing(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    entries = (message("one"), message("two"))
    assert await append(store, tenant, target, *entries, expected=0) == 1
    await append(store, tenant, target, other := message("other"))
    assert await append(store, tenant, target, *entries, expected=0) == 2
    assert await store.messages(tenant, target) == (*entries, other)


async def test_a_new_thread_is_made_once_although_both_begin_with_the_same_copies(
    store: SessionStore, tenant: str
) -> None:
    """They are more than those among which a repeat is looked for."""
    thread = replace(conversation(), listed=False)
    copies = tuple(message(str(number)) for number in range(100))
    first, second = (Append((*copies, message()), now=at(0), expected_version=0, create=thread) for _ in range(2))
    assert await store.append(tenant, thread.id, first) == 1
    with refused(Code.CONVERSATION_CHANGED):
        await store.append(tenant, thread.id, second)
    assert await store.append(tenant, thread.id, first) == 1, "a repeat after a lost reply"
    assert await store.messages(tenant, thread.id) == first.messages


async def test_an_append_on_an_old_version_is_refused_whole(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    await append(store, tenant, target, first := message(), expected=0)
    with refused(Code.CONVERSATION_CHANGED):
        await append(store, tenant, target, message(), message(), expected=0)
    assert await store.messages(tenant, target) == (first,)


async def test_of_many_appends_on_one_version_one_wins(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    results = await asyncio.gather(
        *(append(store, tenant, target, expected=0) for _ in range(20)), return_exceptions=True
    )
    assert [result for result in results if not isinstance(result, ChatError)] == [1]
    assert len(await store.messages(tenant, target)) == 1


async def test_appends_that_expect_nothing_are_all_kept(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    versions = await asyncio.gather(*(append(store, tenant, target) for _ in range(20)))
    assert sorted(versions) == list(range(1, 21))
    assert len(await store.messages(tenant, target)) == 20


@pytest.mark.parametrize("unknown", ["01a1fdb5-c274-7085-aaa7-66b61864f743", "no id", "*", "}:x"])
async def test_what_is_not_there_is_not_found(store: SessionStore, tenant: str, unknown: str) -> None:
    for attempt in (
        store.get(tenant, unknown),
        store.messages(tenant, unknown),
        store.delete(tenant, unknown),
        append(store, tenant, unknown),
    ):
        with refused(Code.CONVERSATION_NOT_FOUND):
            await attempt


async def test_a_deleted_conversation_is_gone_everywhere(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant, user_id="u")
    await append(store, tenant, target)
    await store.delete(tenant, target)
    with refused(Code.CONVERSATION_NOT_FOUND):
        await store.messages(tenant, target)
    with refused(Code.CONVERSATION_NOT_FOUND):
        await append(store, tenant, target)
    assert await listed(store, tenant) == []
    assert await listed(store, tenant, "u") == []


@pytest.mark.feature(35)
async def test_no_tenant_sees_or_touches_what_is_anothers(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    for attempt in (
        store.get("other", target),
        store.messages("other", target),
        store.delete("other", target),
        append(store, "other", target),
    ):
        with refused(Code.CONVERSATION_NOT_FOUND):
            await attempt
    assert target not in await listed(store, "other")
    assert (await store.get(tenant, target)).id == target


async def test_the_listing_shows_the_newest_change_first(store: SessionStore, tenant: str) -> None:
    oldest, middle, newest = [await kept(store, tenant, seconds) for seconds in (-3, -2, -1)]
    assert await listed(store, tenant) == [newest, middle, oldest]
    await append(store, tenant, oldest)
    assert await listed(store, tenant) == [oldest, newest, middle]


async def test_the_listing_of_a_user_shows_only_theirs(store: SessionStore, tenant: str) -> None:
    mine = await kept(store, tenant, user_id="me")
    yours = await kept(store, tenant, -1, user_id="} *")
    nobodys = await kept(store, tenant, -2)
    assert await listed(store, tenant, "me") == [mine]
    assert await listed(store, tenant, "} *") == [yours]
    assert await listed(store, tenant, "stranger") == []
    assert await listed(store, tenant) == [mine, yours, nobodys]


async def test_the_pages_of_a_listing_show_each_conversation_once(store: SessionStore, tenant: str) -> None:
    """Also those that changed in the same millisecond, and with a full last page."""
    made = [await kept(store, tenant, -(index // 3)) for index in range(12)]
    seen: list[str] = []
    cursor = None
    pages = 0
    while pages == 0 or cursor:
        page = await store.list(tenant, limit=4, cursor=cursor)
        assert len(page.items) == 4
        seen += [found.id for found in page.items]
        cursor = page.next
        pages += 1
    assert sorted(seen) == sorted(made)
    assert pages == 3


async def test_a_listing_shows_what_meets_every_condition(store: SessionStore, tenant: str) -> None:
    named = {"title": "Über Refunds, März", "metadata": {"tier": "gold", "n": 3, "vip": True, "k": {"a": 1}}}
    kinds: list[dict[str, Any]] = [{}, named, named | {"user_id": "me"}, {"title": None, "metadata": {"tier": "gold"}}]
    made = [replace(conversation(-index), **changed) for index, changed in enumerate(kinds)]
    for each in made:
        await store.create(tenant, each)
    shown = {
        "all": (Wanted(), [0, 1, 2, 3]),
        "since": (Wanted(since=BEGAN - timedelta(seconds=2, milliseconds=1)), [0, 1, 2]),
        "metadata": (Wanted(metadata={"tier": "gold"}), [1, 2, 3]),
        "several": (Wanted(metadata={"tier": "gold", "n": "3", "vip": "true"}), [1, 2]),
        "another value": (Wanted(metadata={"tier": "silver"}), []),
        "an inner key": (Wanted(metadata={"k.a": "1"}), []),
        "title": (Wanted(title="refund ÜBER"), [1, 2]),
        "no word of it": (Wanted(title="refund april"), []),
        "together": (Wanted(user_id="me", title="märz", metadata={"n": "3"}, since=BEGAN - timedelta(days=1)), [2]),
    }
    found = {
        name: [each.id for each in (await store.list(tenant, wanted)).items] for name, (wanted, _) in shown.items()
    }
    assert found == {name: [made[index].id for index in indexes] for name, (_, indexes) in shown.items()}


async def test_a_filtered_listing_goes_on_from_page_to_page(store: SessionStore, tenant: str) -> None:
    made = [replace(conversation(-(index // 4)), title="a" if index % 3 else "b") for index in range(24)]
    for each in made:
        await store.create(tenant, each)
    seen: list[str] = []
    cursor = None
    while not seen or cursor:
        page = await store.list(tenant, Wanted(title="B"), limit=3, cursor=cursor)
        seen += [found.id for found in page.items]
        cursor = page.next
    assert len(seen) == 8
    assert sorted(seen) == sorted(each.id for each in made if each.title == "b")


@pytest.mark.parametrize("store", ["memory", TOPOLOGIES[0]], indirect=True)
async def test_a_page_looks_at_a_bounded_number_of_conversations(store: SessionStore, tenant: str) -> None:
    oldest = replace(conversation(-1), title="needle")
    made = [oldest, *(conversation(index // 300) for index in range(SCANNED))]
    for begin in range(0, len(made), 100):
        await asyncio.gather(*(store.create(tenant, each) for each in made[begin : begin + 100]))
    first = await store.list(tenant, Wanted(title="needle"))
    assert first.items == ()
    assert first.next is not None
    second = await store.list(tenant, Wanted(title="needle"), cursor=first.next)
    assert second == Page((oldest,), None)


@pytest.mark.parametrize("cursor", ["x", "1", "1.x", ".", "-1.00000000-0000-7000-8000-000000000000", "9" * 400])
async def test_a_cursor_that_no_page_gave_is_refused(store: SessionStore, tenant: str, cursor: str) -> None:
    with pytest.raises(ChatError) as caught:
        await store.list(tenant, cursor=cursor)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "cursor")


async def test_what_was_asked_under_a_key_is_kept_with_the_messages(store: SessionStore, tenant: str) -> None:
    target, other = await kept(store, tenant), await kept(store, tenant)
    record = IdempotencyRecord("key }{", "digest", "answer")
    with pytest.raises(ChatError):
        await store.append(tenant, target, Append((message(),), now=at(1), expected_version=7, idempotency=record))
    assert await store.idempotency_record(tenant, target, record.key) is None
    await store.append(tenant, target, Append((message(),), now=at(1), expected_version=0, idempotency=record))
    assert await store.idempotency_record(tenant, target, record.key) == record
    assert await store.idempotency_record(tenant, target, "another") is None
    assert await store.idempotency_record(tenant, other, record.key) is None


async def test_a_key_is_used_once_also_by_who_has_read_the_newest_version(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    first, again = (IdempotencyRecord("key", "digest", answer) for answer in ("first", "again"))
    await store.append(tenant, target, Append((message(),), now=at(1), expected_version=0, idempotency=first))
    with pytest.raises(ConversationChangedError):
        await store.append(tenant, target, Append((message(),), now=at(2), expected_version=1, idempotency=again))
    assert await store.idempotency_record(tenant, target, "key") == first
    assert len(await store.messages(tenant, target)) == 1


async def test_who_writes_a_message_is_refused_once_a_later_epoch_does(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    first = replace(message(), role="assistant", status="pending", run="r")
    second = replace(first, epoch=1)
    await append(store, tenant, target, first)
    await append(store, tenant, target, second)
    with pytest.raises(ChatError) as caught:
        await append(store, tenant, target, replace(first, status="complete", content="zombie"))
    assert caught.value.code is Code.CONVERSATION_CHANGED
    final = replace(second, status="complete", content="successor")
    await append(store, tenant, target, final)
    assert await store.messages(tenant, target) == (final,)


async def test_a_line_is_served_in_the_order_of_arrival(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    for place, ticket in enumerate(["b", "a", "c"]):
        assert await store.enqueue(tenant, target, ticket) == place
    assert await store.enqueue(tenant, target, "a") == 1
    await store.dequeue(tenant, target, "b")
    assert await store.enqueue(tenant, target, "c") == 1
    for index in range(MAX_QUEUED - 2):
        await store.enqueue(tenant, target, str(index))
    with pytest.raises(ChatError) as caught:
        await store.enqueue(tenant, target, "too many")
    assert caught.value.code is Code.CONVERSATION_BUSY


async def test_there_is_no_line_before_an_unknown_conversation(store: SessionStore, tenant: str) -> None:
    with pytest.raises(ChatError) as caught:
        await store.enqueue(tenant, str(uuid7()), "a")
    assert caught.value.code is Code.CONVERSATION_NOT_FOUND


def thread() -> Conversation:
    return replace(conversation(), metadata={}, listed=False)


def asked(run: str, number: int = 2) -> tuple[StoredMessage, ...]:
    """Return questions and the pending answer of a run."""
    answer = StoredMessage(str(uuid7()), "assistant", "", at(0), status="pending", run=run, echo='{"a":1}')
    return (*(message() for _ in range(number)), answer)


async def respond(
    store: SessionStore, tenant: str, new: Conversation, *before: StoredMessage
) -> tuple[str, tuple[StoredMessage, ...]]:
    """Store a response behind messages that are not its own; return its run and its messages."""
    run = str(uuid7())
    messages = asked(run)
    append = Append(
        (*before, *messages),
        now=at(1),
        expected_version=None,
        create=new,
        response=ResponsePlace(run, len(messages)),
    )
    await store.append(tenant, new.id, append)
    return run, messages


async def test_a_thread_is_created_by_its_first_append_and_is_not_listed(store: SessionStore, tenant: str) -> None:
    new = thread()
    _, messages = await respond(store, tenant, new)
    assert await store.messages(tenant, new.id) == messages
    assert (await store.get(tenant, new.id)).version == 1
    assert await listed(store, tenant) == []


async def test_a_response_is_found_by_its_run_in_the_newest_state(store: SessionStore, tenant: str) -> None:
    new = thread()
    first, messages = await respond(store, tenant, new, message("carried"), message("along"))
    final = replace(messages[-1], status="complete", content="done")
    await append(store, tenant, new.id, final)
    second, others = await respond(store, tenant, new, message(f"about {first}"))
    assert await store.response(tenant, new.id, first) == (*messages[:-1], final)
    assert await store.response(tenant, new.id, second) == others
    assert await store.response(tenant, new.id, str(uuid7())) == ()
    assert await store.response(tenant, str(uuid7()), first) == ()
    assert await store.response("other", new.id, first) == ()


async def test_a_thread_goes_with_its_last_response_and_a_conversation_does_not(
    store: SessionStore, tenant: str
) -> None:
    new, named = thread(), await store.get(tenant, await kept(store, tenant))
    for holder in (new, named):
        runs = [(await respond(store, tenant, holder))[0] for _ in range(2)]
        assert await store.forget_response(tenant, holder.id, runs[0])
        assert not await store.forget_response(tenant, holder.id, runs[0])
        assert await store.response(tenant, holder.id, runs[0]) == ()
        assert len(await store.messages(tenant, holder.id)) == 6
        assert await store.forget_response(tenant, holder.id, runs[1])
    assert len(await store.messages(tenant, named.id)) == 6
    with refused(Code.CONVERSATION_NOT_FOUND):
        await store.get(tenant, new.id)
    assert not await store.forget_response(tenant, new.id, str(uuid7()))


async def test_a_long_history_is_carried_along_in_one_step(store: SessionStore, tenant: str) -> None:
    new = thread()
    run, messages = await respond(store, tenant, new, *(message(str(number)) for number in range(2_500)))
    assert len(await store.messages(tenant, new.id)) == 2_503
    assert await store.response(tenant, new.id, run) == messages


async def test_metadata_is_replaced_and_nothing_else(store: SessionStore, tenant: str) -> None:
    known, _ = await kept(store, tenant, 0), await kept(store, tenant, 1)
    await append(store, tenant, known)
    before = await store.get(tenant, known)
    changed = await store.update(tenant, known, lambda each: replace(each, metadata={"a": "b"}), now=at(2))
    assert changed == await store.get(tenant, known) == replace(before, metadata={"a": "b"}, updated_at=at(2))
    assert (await listed(store, tenant))[0] == known
    await append(store, tenant, known, expected=before.version)
    assert (await store.get(tenant, known)).metadata == {"a": "b"}
    with refused(Code.CONVERSATION_NOT_FOUND):
        await store.update(tenant, str(uuid7()), lambda each: each, now=at(2))


async def test_a_change_that_is_given_up_changes_nothing(store: SessionStore, tenant: str) -> None:
    known, newest = await kept(store, tenant, 0), await kept(store, tenant, 1)
    before = await store.get(tenant, known)

    def give_up(found: Conversation) -> Conversation:
        raise LookupError(found.title)

    with pytest.raises(LookupError, match="title"):
        await store.update(tenant, known, give_up, now=at(2))
    assert await store.get(tenant, known) == before
    assert await listed(store, tenant) == [newest, known]


async def test_updates_at_once_are_all_kept(store: SessionStore, tenant: str) -> None:
    known = await kept(store, tenant)

    def adding(key: str) -> Change:
        return lambda each: replace(each, title="t", metadata={**each.metadata, key: key})

    await asyncio.gather(*(store.update(tenant, known, adding(key), now=at(2)) for key in "abcdef"))
    found = await store.get(tenant, known)
    assert (found.title, set(found.metadata)) == ("t", {"k", *"abcdef"})


async def test_branches_and_the_chosen_one_are_kept(store: SessionStore, tenant: str) -> None:
    target = await kept(store, tenant)
    line = message("q"), replace(message("a"), role="assistant")
    branch = replace(message("b"), parent=line[0].id, status="pending"), replace(message("c"), parent="")
    await append(store, tenant, target, *line)
    await append(store, tenant, target, *branch)
    chosen = Head(line[1].id, branch[1].id)
    updated = await store.update(tenant, target, lambda each: replace(each, head=chosen), now=at(2))
    found = await store.get(tenant, target)
    assert (found, found.head) == (updated, chosen)
    stored = await store.messages(tenant, target)
    assert current_path(found, stored) == line
    assert path_to(stored, branch[0].id) == (line[0], branch[0])
    ended = replace(branch[0], status="complete", epoch=1)
    await append(store, tenant, target, ended)
    stored = await store.messages(tenant, target)
    assert current_path(found, stored) == line
    assert path_to(stored, ended.id) == (line[0], ended)
    await store.remove(tenant, target, emptied(line, line[0].id), now=at(3))
    assert await store.messages(tenant, target) == (line[1], replace(ended, parent=""), branch[1])


async def test_a_removed_message_is_gone_in_all_its_states_and_responses_keep_their_places(
    store: SessionStore, tenant: str
) -> None:
    named = await store.get(tenant, await kept(store, tenant))
    first, asked_first = await respond(store, tenant, named)
    await append(store, tenant, named.id, replace(asked_first[-1], status="complete", content="secret"))
    second, asked_second = await respond(store, tenant, named)
    version = (await store.get(tenant, named.id)).version
    for gone in (asked_first[0], asked_first[-1]):
        for _ in "twice":
            await store.remove(tenant, named.id, removed(gone.id), now=at(3))
    assert await store.messages(tenant, named.id) == (asked_first[1], *asked_second)
    assert await store.response(tenant, named.id, first) == (asked_first[1],)
    assert await store.response(tenant, named.id, second) == asked_second
    found = await store.get(tenant, named.id)
    assert (found.version, found.updated_at) == (version + 2, at(3))
    with refused(Code.CONVERSATION_CHANGED):
        await append(store, tenant, named.id, expected=version)
    with refused(Code.CONVERSATION_NOT_FOUND):
        await store.remove(tenant, str(uuid7()), removed(asked_first[0].id), now=at(3))


async def test_conversations_are_deleted_by_age_the_oldest_first(store: SessionStore, tenant: str) -> None:
    oldest, older, newest = [await kept(store, tenant, seconds, user_id="ann") for seconds in (0, 10, 20)]
    of_another = await kept(store, f"{tenant}2")
    await append(store, tenant, oldest, message())
    await store.update(tenant, oldest, lambda found: found, now=at(1))
    before = BEGAN + timedelta(seconds=20)

    assert await store.delete_older(tenant, before, limit=1) == 1
    assert [each.id for each in (await store.list(tenant)).items] == [newest, older]
    assert await store.delete_older(tenant, before, limit=10) == 1
    assert await store.delete_older(tenant, before, limit=10) == 0
    for wanted in (ALL, Wanted(user_id="ann")):
        assert [each.id for each in (await store.list(tenant, wanted)).items] == [newest]
    for gone in (oldest, older):
        with pytest.raises(ChatError) as caught:
            await store.messages(tenant, gone)
        assert caught.value.code is Code.CONVERSATION_NOT_FOUND
    assert (await store.get(f"{tenant}2", of_another)).id == of_another
