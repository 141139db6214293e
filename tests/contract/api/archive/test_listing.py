"""Listings across a real Redis and a real PostgreSQL: all conversations, once, in order, whatever has expired."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from uuid_utils import uuid7

from chatfleet_api.archive.postgres import PostgresArchive
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.sessions.listing import Wanted
from chatfleet_api.sessions.store import ArchiveUnavailableError, Conversation
from harness.pods.archived import Shop, message
from harness.postgres import PostgresServer

BEGUN = (datetime.now(UTC) - timedelta(days=1)).replace(microsecond=0)


def at(minute: int) -> str:
    return (BEGUN + timedelta(minutes=minute)).isoformat(timespec="milliseconds")


async def made(shop: Shop, count: int) -> list[str]:
    """Return conversations of two users in turn, newest change first."""
    return [await shop.conversation(now=at(minute), user="ann" if minute % 2 else "bob") for minute in range(count)][
        ::-1
    ]


async def pages(shop: Shop, wanted: Wanted = Wanted(), *, limit: int = 3, tenant: str = "acme") -> list[str]:  # noqa: B008
    """Return the ids of all pages."""
    found, cursor = list[str](), None
    while True:
        page = await shop.sessions.list(tenant, wanted, limit=limit, cursor=cursor)
        found += [each.id for each in page.items]
        if (cursor := page.next) is None:
            return found


@pytest.mark.feature(35)
async def test_pages_go_on_in_the_archive_where_redis_ends(
    client: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(client, postgres.database(), tmp_path)
    known = await made(shop, 12)
    async with shop.pod():
        await shop.conversation("other", now=at(5))
        await shop.archived()
        assert await pages(shop) == known
        for expired in known[7:]:  # the oldest
            await shop.expire(expired)
        assert await pages(shop) == known
        for expired in (known[1], known[3]):  # and some between, as when ttlSeconds was changed
            await shop.expire(expired)
        assert await pages(shop) == known
        assert await pages(shop, Wanted(user_id="ann")) == known[0::2]
        assert await pages(shop, Wanted(since=BEGUN + timedelta(minutes=6))) == known[:6]
        assert await pages(shop, Wanted(title="a TITLE", metadata={"k": "x"})) == []
        assert await pages(shop, Wanted(title="a TITLE"), limit=5) == known
        for expired in known:
            await shop.expire(expired)
        assert await pages(shop) == known
        assert await pages(shop, limit=100) == known


async def test_what_is_changed_or_deleted_has_one_place_or_none_at_once(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    known = await made(shop, 6)
    async with shop.pod():
        for expired in known:
            await shop.expire(expired)
        await shop.sessions.update("acme", known[4], lambda each: replace(each, title="New"), now=at(60))
        await shop.sessions.enqueue("acme", known[5], "ticket")  # is loaded, and did not change
        await shop.sessions.delete("acme", known[2])
        expected = [known[4], known[0], known[1], known[3], known[5]]
        assert await pages(shop, limit=2) == expected
        assert await pages(shop, Wanted(title="new"), limit=2) == [known[4]]
        await shop.archived()
        assert await pages(shop, limit=2) == expected


async def test_what_is_deleted_in_both_while_a_page_is_read_is_not_on_it(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    known = await made(shop, 3)
    read = PostgresArchive.read

    async def overtaken(self: PostgresArchive, tenant: str, statement: str, values: Mapping[str, object]) -> str | None:
        found = await read(self, tenant, statement, values)
        monkeypatch.setattr(PostgresArchive, "read", read)
        await shop.sessions.delete("acme", known[1])
        await shop.archived()
        return found

    async with shop.pod():
        for expired in known:
            await shop.expire(expired)
        monkeypatch.setattr(PostgresArchive, "read", overtaken)
        page = await shop.sessions.list("acme")
    assert [each.id for each in page.items] == [known[0], known[2]]


async def test_a_page_of_young_conversations_is_of_redis_alone(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresArchive, "read", _never)
    shop = Shop(single, postgres.database(), tmp_path)
    now = datetime.now(UTC)
    for minute in range(4):
        young = (now - timedelta(minutes=minute)).isoformat(timespec="milliseconds")
        await shop.sessions.create("acme", Conversation(str(uuid7()), None, None, {}, young, young))
    async with shop.pod():
        page = await shop.sessions.list("acme", limit=3)
        assert len(page.items) == 3
        with pytest.raises(AssertionError):
            await shop.sessions.list("acme", limit=3, cursor=page.next)


async def _never(*_: object) -> None:
    raise AssertionError("PostgreSQL was asked")


async def test_while_postgresql_is_down_a_page_has_what_redis_has_and_does_not_claim_to_be_all(
    single: RedisClient, postgres: PostgresServer, tmp_path: Path
) -> None:
    shop = Shop(single, postgres.database(), tmp_path)
    known = await made(shop, 4)
    async with shop.pod() as keeper:
        for expired in known[2:]:
            await shop.expire(expired)
        await shop.down(keeper)
        page = await shop.sessions.list("acme")
        assert [each.id for each in page.items] == known[:2]
        assert page.next is not None
        with pytest.raises(ArchiveUnavailableError):
            await shop.sessions.list("acme", cursor=page.next)
        empty = await shop.sessions.list("nobody")
        assert empty.items == ()
        assert empty.next is not None
        with pytest.raises(ArchiveUnavailableError):
            await shop.sessions.list("nobody", cursor=empty.next)
        await shop.up(keeper)
        rest = await shop.sessions.list("acme", cursor=page.next)
        assert [each.id for each in rest.items] == known[2:]
        assert rest.next is None
        assert await shop.sessions.list("nobody", cursor=empty.next) == await shop.sessions.list("nobody")
        await shop.say(known[3], message("goes on"))
