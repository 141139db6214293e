"""The id of an item names its conversation and its message, and is one that the vendor takes."""

from uuid import UUID

import pytest
from uuid_utils import uuid7

from chatfleet_api.chat.items import item_owner
from chatfleet_api.web.dialects.responses.ids import CUSTOM_CALL, ItemPlace, read_item_id

LONGEST = 64
"""Characters of an id that OpenAI accepts."""


@pytest.mark.parametrize(
    "place", [(str(UUID(int=7)), str(UUID(int=2**100))), (str(UUID(int=0)), str(UUID(int=2**128 - 1)))]
)
def test_a_place_is_read_from_the_id(place: tuple[str, str]) -> None:
    for ident in (f"msg_{item_owner(*place)}", f"{CUSTOM_CALL}{item_owner(*place)}_12"):
        assert read_item_id(ident) == ItemPlace(*place)
        assert len(ident) <= LONGEST


@pytest.mark.parametrize(
    "ident", ["", "msg_1", f"msg_{UUID(int=7)}", "msg_" + "a" * 44, "msg_" + "\u00e9" * 43, "a" * 47]
)
def test_other_ids_are_none_of_ours(ident: str) -> None:
    assert read_item_id(ident) is None


def test_without_a_conversation_an_id_leads_nowhere() -> None:
    assert read_item_id(f"msg_{item_owner(None, str(uuid7()))}") is None
