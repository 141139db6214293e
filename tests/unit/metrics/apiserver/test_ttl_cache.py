"""What is remembered for a while."""

from chatfleet_metrics.apiserver.ttl_cache import ENTRIES, TTLCache
from harness.clock import ManualClock


def test_what_is_remembered_is_bounded() -> None:
    cache: TTLCache[int, int] = TTLCache(ManualClock(0.0))
    for number in range(ENTRIES + 1):
        cache.put(number, number, 10)
    assert cache.get(0) is None
    assert cache.get(1) == 1
