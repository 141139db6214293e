"""Files in messages: upstreams that take none refuse them by name, whatever the client's dialect."""

from collections.abc import Callable

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest, FileData, FilePart, Message, TextPart
from chatfleet_api.providers.files import document_name
from chatfleet_api.providers.vendors.openai import request as openai
from chatfleet_api.providers.vendors.responses import request as responses

FILE = FilePart(FileData("Report\n2026.pdf", "data:application/pdf;base64,JVBERi0="))
ASKED = ChatRequest("m", (Message("system", "Be brief."), Message("user", [TextPart("What is this?"), FILE])))


@pytest.mark.parametrize("body", [openai.compatible_body, openai.azure_body, responses.compatible_body])
def test_a_file_is_refused_by_its_name_and_with_the_remedy(body: Callable[[ChatRequest], bytes]) -> None:
    with pytest.raises(ChatError) as caught:
        body(ASKED)

    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "messages[1].content")
    assert caught.value.message == (
        "The model's provider takes no files, such as 'Report 2026.pdf'; send their text, or use another model."
    )


@pytest.mark.parametrize(
    ("stem", "number", "name"),
    [("Report", 0, "Report"), ("Report", 2, "Report 3"), ("é_é", 0, "document"), ("a/b (1)", 0, "a b (1)")],
)
def test_documents_of_converse_have_names_that_it_takes(stem: str, number: int, name: str) -> None:
    assert document_name(stem, number) == name
