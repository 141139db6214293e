"""What is kept of an answer, and that a request never notices a cache that does not respond."""

import asyncio
from typing import Final

import msgspec
import pytest

from chatfleet_api.domain.cache_use import CacheUse, using
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Extended, Reasoning, Token, Usage
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.providers.policies.instrumented import ModelLabels
from chatfleet_api.providers.provider import Finish, ItemBatch
from chatfleet_api.providers.response_cache import cached as cached_module
from chatfleet_api.providers.response_cache.answer import MAX_BYTES, Answer, Recorder, read_answer
from chatfleet_api.providers.response_cache.cache import LOOK_SECONDS, PAUSE_SECONDS, ResponseCache
from chatfleet_api.providers.response_cache.cached import Cached
from chatfleet_api.providers.response_cache.store import Found, Place
from chatfleet_contract.spec.cache import Cache
from harness.pods.live import fixed
from harness.pods.runs import FakeProvider, loop_clock
from harness.upstream.catalogue import ask

pytestmark = pytest.mark.looptime

LABELS: Final = ModelLabels("p", "m", "gpt-x")
END: Final = Finish("stop", Usage(3, 2), "p", "gpt-x")
REQUEST: Final = ChatRequest("m", (Message("user", "Hi"),), temperature=0.0)
RAW: Final = msgspec.Raw(b'{"a":1}')


class AwayStore:
    """A store in a Redis that refuses, or that does not respond."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.asked = 0

    async def find(self, place: Place, *, max_age_seconds: int) -> Found | None:  # noqa: ARG002  # the port's
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(3600)
        raise ChatError(Code.STORAGE_UNAVAILABLE)

    async def keep(self, place: Place, answer: bytes, *, ttl_seconds: int, max_bytes: int) -> None:  # noqa: ARG002
        await self.find(place, max_age_seconds=ttl_seconds)


def recorded(*batches: ItemBatch) -> Answer | None:
    recorder = Recorder()
    for batch in batches:
        recorder.take(batch)
    kept = recorder.kept("p", "gpt-x")
    return None if kept is None else read_answer(kept)


def test_a_whole_answer_is_kept_in_as_few_pieces_as_it_takes() -> None:
    pieces = (Token("a"), Token("b")), (Token("c"), Extended(RAW, (Token("d"),)), Reasoning("e"), Token("f"), END)
    found = recorded(*pieces)
    assert found is not None
    assert found.items == (Token("abc"), Extended(RAW, (Token("d"),)), Reasoning("e"), Token("f"))
    *_, end = found.replayed()
    assert end == msgspec.structs.replace(END, usage=Usage(3, 2, cached=True))


@pytest.mark.parametrize(
    "batches",
    [
        ((Token("a"),),),
        ((END,),),
        ((Token("a"), msgspec.structs.replace(END, reason="length")),),
        ((Token("a"), msgspec.structs.replace(END, reason="content_filter")),),
        ((Token("a"), msgspec.structs.replace(END, provider="spare")),),
        ((Token("a"), msgspec.structs.replace(END, upstream_model="gpt-y")),),
        ((Token("a" * (MAX_BYTES + 1)),), (Token("b"), END)),
        ((Token("\x00" * (MAX_BYTES // 3)), END),),
    ],
    ids=["cut", "empty", "limit", "filter", "fallback", "other model", "long", "long when encoded"],
)
def test_what_is_not_the_models_own_whole_answer_is_not_kept(batches: tuple[ItemBatch, ...]) -> None:
    assert recorded(*batches) is None


def test_what_another_version_has_kept_is_no_answer() -> None:
    assert read_answer(b'{"items":[],"of_next_year":1}') is None
    assert read_answer(b"\xff") is None


@pytest.mark.parametrize("store", [AwayStore(hangs=False), AwayStore(hangs=True)], ids=["refuses", "hangs"])
async def test_an_answer_does_not_wait_for_a_cache_that_is_away(store: AwayStore) -> None:
    cache = ResponseCache(store, fixed(Cache(enabled=True)), clock=loop_clock)
    cached = Cached(FakeProvider((Token("a"), END)), LABELS, b"mark", lambda: cache)

    async def answered() -> float:
        use, begun = CacheUse("shop"), loop_clock()
        with using(use):
            outcome = await ask(cached, REQUEST)
        assert (outcome.text, outcome.error, use.result) == ("a", None, "miss")
        return loop_clock() - begun

    async with cache.open():
        assert await answered() <= 2 * LOOK_SECONDS
        asked = store.asked
        assert await answered() == 0.0
        assert store.asked == asked
        await asyncio.sleep(PAUSE_SECONDS)
        await answered()
        assert store.asked > asked
    assert (cache.hits, cache.misses, cache.failures) == (0, 0, 3)


@pytest.mark.parametrize("use", [None, CacheUse("shop", reads=False, writes=False)], ids=["off", "no-store"])
async def test_a_request_without_the_cache_does_not_look_into_it(use: CacheUse | None) -> None:
    store = AwayStore(hangs=True)
    cache = ResponseCache(store, fixed(Cache(enabled=True)), clock=loop_clock)
    cached = Cached(FakeProvider((Token("a"), END)), LABELS, b"mark", lambda: cache)
    with using(use):
        assert (await ask(cached, REQUEST)).text == "a"
    assert store.asked == 0
    assert use is None or use.result is None


async def test_no_key_is_made_without_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ChatRequest] = []
    monkeypatch.setattr(cached_module, "cache_key", lambda _tenant, _mark, request: made.append(request))
    cache = ResponseCache(AwayStore(hangs=True), fixed(Cache(enabled=True)), clock=loop_clock)
    for use, found in ((CacheUse("shop"), None), (CacheUse("shop", reads=False, writes=False), cache)):
        with using(use):
            await ask(Cached(FakeProvider((Token("a"), END)), LABELS, b"mark", fixed(found)), REQUEST)
    assert made == []


async def test_only_the_first_request_to_a_model_uses_the_cache() -> None:
    store = AwayStore(hangs=False)
    cache = ResponseCache(store, fixed(Cache(enabled=True)), clock=lambda: 0.0)
    cached = Cached(FakeProvider((Token("a"),)), LABELS, b"mark", lambda: cache)
    with using(CacheUse("shop")):
        await ask(cached, REQUEST)
        await ask(cached, REQUEST)
    assert store.asked == 1
