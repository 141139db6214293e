"""A page of two parts: one order, nothing twice, nothing left out, wherever Redis and PostgreSQL end."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chatfleet_api.archive.listing import FIRST, Rows, merged, position_of
from chatfleet_api.sessions.listing import Position, read_cursor
from chatfleet_api.sessions.store import Conversation, Page

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def conversation(minute: int, number: int) -> Conversation:
    changed = (EPOCH + timedelta(minutes=minute)).isoformat(timespec="milliseconds")
    return Conversation(f"00000000-0000-7000-8000-{number:012}", None, None, {}, changed, changed)


def part(known: list[Conversation], start: Position, size: int) -> list[Conversation]:
    """Return up to `size` after a position, newest change first."""
    return sorted((each for each in known if position_of(each) < start), key=position_of, reverse=True)[:size]


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["redis", "archive", "both"])), max_size=24),
    st.integers(1, 5),
    st.integers(1, 3),
)
def test_pages_have_all_in_order_and_once(places: list[tuple[int, str]], limit: int, scanned: int) -> None:
    known = [(conversation(minute, number), where) for number, (minute, where) in enumerate(places)]
    of_redis = [each for each, where in known if where != "archive"]
    of_archive = [each for each, where in known if where != "redis"]
    start, found = FIRST, list[Conversation]()
    for _ in range(100):
        items = part(of_redis, start, limit + 1)
        end = position_of(items[limit - 1]).cursor() if len(items) > limit else None
        rows = part(of_archive, start, scanned)
        last = position_of(rows[-1]) if len(rows) == scanned else None
        page = merged(Page(tuple(items[:limit]), end), Rows(rows, last), limit)
        assert len(page.items) <= limit
        found += page.items
        if page.next is None:
            break
        start = read_cursor(page.next)
    assert found == sorted((each for each, _ in known), key=position_of, reverse=True)


def test_of_a_conversation_in_both_the_one_of_redis_is_shown() -> None:
    archived = conversation(1, 1)
    changed = conversation(5, 1)
    page = merged(Page((changed,), None), Rows([archived, conversation(0, 2)], None), 20)
    assert page == Page((changed, conversation(0, 2)), None)
