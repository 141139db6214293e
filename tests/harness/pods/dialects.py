"""Every dialect of the API's table, for tests of what all of them promise."""

import pytest

from chatfleet_api.domain.errors import FACTS
from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects import DIALECTS

EACH_DIALECT = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.prefix or "/")


def path_of(dialect: Dialect) -> str:
    """Return a path that the dialect owns."""
    return dialect.prefix + "/anything"


def has_codes(dialect: Dialect) -> bool:
    """Return whether errors of the dialect have a code that clients see."""
    return any(dialect.errors.dialect_code(code) is not None for code in FACTS)
