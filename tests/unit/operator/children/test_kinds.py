"""The table of kinds: what follows from it holds together."""

import pytest

from chatfleet_contract import names
from chatfleet_operator.children.kinds import BY_NAME, CHILD_KINDS, KINDS, PRUNABLE, SECRET, Kind
from chatfleet_operator.kube.connection import LOCATIONS, path
from chatfleet_operator.kube.rbac import RULES, Rule
from chatfleet_operator.watches import WATCHED


def test_a_kind_has_one_row() -> None:
    assert len(BY_NAME) == len(KINDS) == len({(kind.group, kind.plural) for kind in KINDS})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_rights_path_and_watch_of_a_kind_are_those_of_its_row(kind: Kind) -> None:
    api = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"

    assert [rule for rule in RULES if (rule.group, rule.resource) == (kind.group, kind.plural)] == [
        Rule(kind.group, kind.plural, kind.verbs)
    ]
    assert path(kind.name, "shop", "x") == f"{api}/namespaces/shop/{kind.plural}/x"
    assert (kind in WATCHED) == ("watch" in kind.verbs)


@pytest.mark.parametrize("kind", CHILD_KINDS, ids=lambda kind: kind.name)
def test_a_child_has_a_name_and_can_be_read_and_applied(kind: Kind) -> None:
    assert kind.child_names
    assert {"get", "create", "patch"} <= set(kind.verbs)


def test_what_holds_data_is_never_pruned() -> None:
    """The right to delete it is for a claim that has no volume yet: `reconcile/test_decide.py`."""
    assert PRUNABLE.isdisjoint(kind.name for kind in KINDS if kind.holds_data)


def test_a_kind_that_a_cluster_may_not_have_is_not_watched() -> None:
    assert [kind.name for kind in WATCHED if kind.optional_crd] == []


def test_secrets_are_neither_listed_nor_watched() -> None:
    assert not {"list", "watch"} & set(SECRET.verbs)


def test_our_own_kind_is_no_child() -> None:
    assert names.KIND not in BY_NAME
    assert LOCATIONS[names.KIND].plural == names.PLURAL
