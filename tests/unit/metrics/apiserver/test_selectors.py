"""Label selectors of queries, against what Kubernetes' own documentation says of each form."""

import pytest

from chatfleet_metrics.apiserver.selectors import BadSelector, parse_selector, selects

LABELS = {"chatfleet.io/deployment": "support", "tier": "api", "empty": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("tier=api", True),
        ("tier==api", True),
        ("tier = api , chatfleet.io/deployment=support", True),
        ("tier=api,chatfleet.io/deployment=other", False),
        ("tier!=api", False),
        ("zone!=a", True),  # absent is unequal
        ("zone=", False),
        ("empty=", True),
        ("tier in (web, api)", True),
        ("tier in (web),tier", False),
        ("tier notin (web,api)", False),
        ("zone notin (a,b)", True),
        ("tier", True),
        ("zone", False),
        ("!zone", True),
        ("!tier", False),
    ],
)
def test_a_selector_selects(text: str, *, selected: bool) -> None:
    assert selects(parse_selector(text), LABELS) is selected


@pytest.mark.parametrize(
    "text", ["tier in web", "tier in (web", ",", "tier=api,", "a b", "=x", "tier>3", "a=b=c", "()"]
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(BadSelector):
        parse_selector(text)
