"""Rows for PostgreSQL: texts that it does not take are changed in no other way than they must be."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from chatfleet_api.archive.rows import document


@settings(deadline=None)
@given(st.lists(st.sampled_from(["\x00", "\\", "u0000", '"', "a", "\\u0000", "\ud83d\ude00"]), max_size=8).map("".join))
def test_a_nul_alone_is_replaced(text: str) -> None:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16")
    assert json.loads(document([{"content": text}])) == [{"content": text.replace("\x00", "\ufffd")}]
