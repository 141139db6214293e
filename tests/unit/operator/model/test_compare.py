"""Whether a live object still says what we asked for."""

import pytest

from chatfleet_operator.model.compare import contains, quantity

LIST_KEYS = {"env": ("name",), "mounts": ("mountPath",), "spread": ("topologyKey", "whenUnsatisfiable")}
SPREAD = {"topologyKey": "a", "whenUnsatisfiable": "Y"}
GATEWAY = {"name": "gateway", "sectionName": "a"}


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, id="fields of others are not looked at"),
        pytest.param({}, {"a": {}, "b": [], "c": "", "d": None}, id="empty and absent are the same"),
        pytest.param({"a": None}, {"a": {}}, id="null and empty are the same"),
        pytest.param(
            {"env": [{"name": "X", "value": "1"}, {"name": "A", "value": "2"}]},
            {"env": [{"name": "A", "value": "2"}]},
            id="a list by name may hold more, in any order",
        ),
        pytest.param(
            {"mounts": [{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/a"}]},
            {"mounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
            id="one volume mounted twice is told apart by its path",
        ),
        pytest.param(
            {"spread": [{"topologyKey": "a", "whenUnsatisfiable": "X", "n": 1}, SPREAD]},
            {"spread": [SPREAD, {"topologyKey": "a", "whenUnsatisfiable": "X"}]},
            id="two items that differ in one of several keys do not collapse",
        ),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}, id="quantities are numbers"),
        pytest.param({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "1024Mi"}}, id="binary suffixes too"),
        pytest.param({"limits": {"cpu": "2"}}, {"limits": {"cpu": 2}}, id="a bare number is a quantity"),
        pytest.param({"averageValue": "4k"}, {"averageValue": "4000"}, id="as an autoscaler's target is stored"),
        pytest.param({"tolerance": "50m"}, {"tolerance": "0.05"}, id="as an autoscaler's tolerance is stored"),
        pytest.param({"drop": ["ALL"]}, {"drop": ["ALL"]}, id="plain lists are compared item by item"),
        pytest.param(
            {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
            {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]}},
            id="empty and absent are the same in a selector too",
        ),
    ],
)
def test_a_live_object_that_holds_all_we_ask_for_needs_no_write(live: object, desired: object) -> None:
    assert contains(live, desired, LIST_KEYS)


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        pytest.param({"a": 1}, {"a": 2}, id="another value"),
        pytest.param({}, {"a": 1}, id="a field is gone"),
        pytest.param({}, {"a": False}, id="false is a value: absent may default to true"),
        pytest.param({}, {"a": 0}, id="zero is a value"),
        pytest.param({"a": True}, {"a": 1}, id="true is not one"),
        pytest.param({"env": [{"name": "B"}]}, {"env": [{"name": "A"}]}, id="an item of a list by name is gone"),
        pytest.param(
            {"spread": [{"topologyKey": "a", "whenUnsatisfiable": "X"}]},
            {"spread": [SPREAD]},
            id="an item that agrees in one of several keys alone",
        ),
        pytest.param({"parentRefs": [GATEWAY]}, {"parentRefs": [{**GATEWAY, "sectionName": "b"}]}, id="an atomic list"),
        pytest.param(
            {"parentRefs": [GATEWAY]},
            {"parentRefs": [GATEWAY, {**GATEWAY, "sectionName": "b"}]},
            id="two items of one name in an atomic list",
        ),
        pytest.param({"drop": ["ALL", "X"]}, {"drop": ["ALL"]}, id="a plain list is ours as a whole"),
        pytest.param({"selector": {"a": "1", "b": "2"}}, {"selector": {"a": "1"}}, id="one more key in a selector"),
        pytest.param(
            {"selector": {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}},
            {"selector": {"matchLabels": {"a": "1"}}},
            id="one more expression in a selector",
        ),
        pytest.param({"labels": {"v": "1"}}, {"labels": {"v": "1000m"}}, id="outside resources text is text"),
        pytest.param({"limits": {"cpu": "2"}}, {"limits": {"cpu": "1"}}, id="another quantity"),
        pytest.param({"a": "x"}, {"a": {"b": 1}}, id="another shape"),
        pytest.param({"a": {"b": "x"}}, {"a": ""}, id="something where nothing is wanted"),
    ],
)
def test_a_live_object_that_misses_something_is_applied_again(live: object, desired: object) -> None:
    assert not contains(live, desired, LIST_KEYS)


@pytest.mark.parametrize("text", ["", "abc", "1Xi", "Gi", "1.2.3", "--1"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    assert quantity(text) is None


def test_quantities_are_read_as_kubernetes_writes_them() -> None:
    same = ["1500m", "1.5", "1500000u", "0.0015k"]

    assert {quantity(text) for text in same} == {quantity("1.5")}
    assert quantity("1E") == 10**18
    assert quantity("1Ei") == 2**60
