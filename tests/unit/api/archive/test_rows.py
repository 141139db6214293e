"""Rows for PostgreSQL: texts that it does not take are changed in no other way than they must be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfleet_api.archive import rows


@given(st.lists(st.sampled_from(["\x00", "\\", "u0000", '"', "a", "\\u0000", "\ud83d\ude00"]), max_size=8).map("".join))
def test_a_nul_alone_is_replaced(text: str) -> None:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16")
    (document,) = rows.documents([{"content": text}])
    assert json.loads(document) == [{"content": text.replace("\x00", "\ufffd")}]


def test_documents_are_bounded_and_have_all_rows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PART_BYTES", 30)
    found = [{"n": "x" * size} for size in (1, 2, 20, 40, 1, 2, 3, 4)]
    documents = list(rows.documents(found))
    assert [row for document in documents for row in json.loads(document)] == found
    assert [len(json.loads(document)) for document in documents] == [2, 1, 1, 3, 1]
    assert list(rows.documents([])) == []
