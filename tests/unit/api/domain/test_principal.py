"""Names of tenants: what a credential can name, and what the resource accepts."""

import pytest
from pydantic import TypeAdapter, ValidationError

from chatfleet_api.domain.principal import is_tenant
from chatfleet_contract.spec.jwt import TenantName


@pytest.mark.parametrize(
    ("name", "usable"),
    [
        *((name, True) for name in ("a", "9", "shop", "a" * 128, "a.b-c_d@e", "system@serviceaccounts")),
        *((name, False) for name in ("", "-a", "a-", ".a", "@a", "a:b", "a{b}", "a b", "a/b", "ä", "a\n", "a" * 129)),
    ],
)
def test_a_credential_can_name_the_tenants_that_the_resource_can(name: str, *, usable: bool) -> None:
    assert is_tenant(name) is usable
    try:
        TypeAdapter(TenantName).validate_python(name)
    except ValidationError:
        assert not usable
    else:
        assert usable
