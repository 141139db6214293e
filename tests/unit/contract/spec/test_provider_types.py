"""The one table of provider types: a row for each, and validation rules that follow from the rows."""

import pytest

from chatfleet_contract.spec.provider_types import PROVIDER_TYPES, ProviderType, continuation_rule, provider_rules


def test_every_type_has_a_row() -> None:
    assert list(PROVIDER_TYPES) == list(ProviderType)


@pytest.mark.parametrize("kind", ProviderType)
def test_the_rules_name_a_type_where_its_row_demands_it(kind: ProviderType) -> None:
    traits = PROVIDER_TYPES[kind]
    key, url, _, exchange, *others, api, _, stream, stream_options = [str(rule["rule"]) for rule in provider_rules()]
    assert (f"'{kind}'" in key) is traits.needs_key
    assert (f"'{kind}'" in url) is traits.needs_base_url
    assert (f"'{kind}'" in exchange) is (traits.exchange is not None)
    assert (f"'{kind}'" in api) is traits.responses
    assert (f"'{kind}'" in stream) is traits.has_upstream
    assert (f"'{kind}'" in stream_options) is traits.stream_options
    assert any(f"'{kind}'" in rule for rule in others) is (traits.settings is not None or not traits.has_upstream)
    assert (f"'{kind}'" in str(continuation_rule()["rule"])) is bool(traits.continuations)
