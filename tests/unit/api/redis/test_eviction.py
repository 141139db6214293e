"""What INFO shows of the eviction policy: of one server, of each of a cluster, or nothing."""

import pytest

from chatfleet_api.redis.eviction import Eviction, eviction

HIDDEN = "Redis does not show it in INFO"


def node(policy: str | None) -> dict[str, object]:
    shown = {} if policy is None else {"maxmemory_policy": policy}
    return {"used_memory": 1, **shown}


@pytest.mark.parametrize(
    ("info", "known"),
    [
        (node("noeviction"), Eviction()),
        (node("allkeys-lru"), Eviction(("allkeys-lru",))),
        (node(None), Eviction(unknown=HIDDEN)),
        ({}, Eviction(unknown=HIDDEN)),
        ({"db0": {"keys": 1}}, Eviction(unknown=HIDDEN)),
        (b"+OK", Eviction(unknown=HIDDEN)),
        (None, Eviction(unknown=HIDDEN)),
        ({"a:1": node("noeviction"), "b:1": node("noeviction")}, Eviction()),
        ({"a:1": node("noeviction"), "b:1": node("volatile-ttl")}, Eviction(("volatile-ttl",))),
        ({"a:1": node("noeviction"), "b:1": node(None)}, Eviction(unknown=HIDDEN)),
        ({"a:1": node("allkeys-lfu"), "b:1": node(None)}, Eviction(("allkeys-lfu",), HIDDEN)),
    ],
)
def test_policies_are_known_evicting_or_unknown(info: object, known: Eviction) -> None:
    assert eviction(info) == known


def test_what_evicts_is_refused_and_what_is_unknown_is_a_warning() -> None:
    assert (Eviction().refused, Eviction().warning) == (None, None)
    assert Eviction(("a", "b")).refused == "Redis may evict keys (maxmemory-policy a, b); set it to noeviction"
    assert Eviction(unknown=HIDDEN).refused is None
    assert Eviction(unknown=HIDDEN).warning == (
        f"maxmemory-policy is unknown: {HIDDEN}; make sure that it is noeviction, or allow INFO"
    )
