"""Attachments of a message: what is accepted, as what a model gets it, and what is refused with the field."""

import asyncio
from base64 import b64encode
from typing import Any, Final

import pytest

from chatfleet_api.chat.attaching import SECONDS
from chatfleet_api.domain.downloads import Downloaded, DownloadError, Failure
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import FileData, FilePart, TextPart
from chatfleet_contract.spec.conversations import Attachments
from harness.clients.asgi import Exchange, ask, asking, get, post
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, FakeProvider, OneModel, text

pytestmark = pytest.mark.looptime

BASE: Final = "/api/v1/conversations"
PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
JPEG: Final = b"\xff\xd8\xff\xe0" + b"j" * 40
GIF: Final = b"GIF89a" + b"g" * 40
PDF: Final = b"%PDF-1.7\n" + b"p" * 2000
WEBP: Final = b"RIFF\x10\x00\x00\x00WEBPVP8 " + b"w" * 40


def url(data: bytes, kind: str = "image/png", *parameters: str) -> str:
    return f"data:{';'.join((kind, *parameters))};base64,{b64encode(data).decode()}"


def attached(data: bytes = PNG, kind: str = "image/png", **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    return {"type": "image", "url": url(data, kind)} | fields


def pdf(kind: str = "application/pdf", **fields: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON
    return attached(PDF, kind, type="file", **fields)


def pod() -> tuple[Pod, FakeProvider]:
    provider = FakeProvider(text("a"), [STOP])
    return Pod(provider), provider


async def begin(pod: Pod) -> str:
    return str((await ask(pod.app, post(BASE, {}))).json()["id"])


async def send(pod: Pod, conversation: str, *attachments: Any, **headers: str) -> Exchange:  # noqa: ANN401  # any JSON
    body = {"content": "What is this?", "attachments": attachments}
    return await ask(pod.app, post(f"{BASE}/{conversation}/messages", body, **headers))


def images_of(message: Any) -> list[str]:  # noqa: ANN401  # a message of a request
    return [part.image_url.url for part in message.content if hasattr(part, "image_url")]


@pytest.mark.parametrize(
    ("data", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")]
)
async def test_an_image_goes_to_the_model_with_this_turn_and_all_later_ones(data: bytes, kind: str) -> None:
    served, provider = pod()
    conversation = await begin(served)

    assert (await send(served, conversation, attached(data, kind))).status == 200
    await ask(served.app, post(f"{BASE}/{conversation}/messages", {"content": "And?"}))

    first, second = provider.asked
    assert images_of(first.messages[0]) == [url(data, kind)]
    assert second.messages[0] == first.messages[0]
    shown = (await ask(served.app, get(f"{BASE}/{conversation}"))).json()["messages"]
    assert shown[0]["content"] == "What is this?"
    assert shown[0]["attachments"] == [{"type": "image", "url": url(data, kind), "media_type": kind}]
    assert all("attachments" not in each for each in shown[1:])


@pytest.mark.parametrize(("fields", "name"), [({"name": "Report é.pdf"}, "Report é.pdf"), ({}, "document.pdf")])
async def test_a_pdf_goes_to_the_model_with_its_name(fields: dict[str, str], name: str) -> None:
    served, provider = pod()
    conversation = await begin(served)

    assert (await send(served, conversation, pdf(**fields))).status == 200
    await ask(served.app, post(f"{BASE}/{conversation}/messages", {"content": "And?"}))

    sent = url(PDF, "application/pdf")
    for request in provider.asked:
        assert request.messages[0].content == [TextPart("What is this?"), FilePart(FileData(name, sent))]
    shown = (await ask(served.app, get(f"{BASE}/{conversation}"))).json()["messages"][0]["attachments"]
    assert shown == [{"type": "file", "url": sent, "media_type": "application/pdf", "name": name}]


async def test_a_file_that_the_upstream_does_not_take_is_refused_before_it_is_stored() -> None:
    served, provider = pod()
    conversation = await begin(served)
    assert (await send(served, conversation, pdf())).status == 200
    one = served.chat.ports.catalogue()
    assert isinstance(one, OneModel)
    one.unsupported = ChatError(Code.INVALID_REQUEST, "It takes no files.", param="messages[2].content")

    refused = await send(served, conversation, pdf())
    assert (refused.status, refused.json()["param"]) == (400, "attachments")
    later = await ask(served.app, post(f"{BASE}/{conversation}/messages", {"content": "And?"}))
    assert (later.status, later.json()["message"], "param" in later.json()) == (400, "It takes no files.", False)
    assert len((await ask(served.app, get(f"{BASE}/{conversation}"))).json()["messages"]) == 2
    assert len(provider.asked) == 1


@pytest.mark.parametrize("stated", ["", "image/jpg", "IMAGE/JPEG; q=1", "application/octet-stream"])
async def test_the_data_decides_the_media_type(stated: str) -> None:
    served, provider = pod()

    assert (await send(served, await begin(served), attached(JPEG, stated))).status == 200

    assert images_of(provider.asked[0].messages[0]) == [url(JPEG, "image/jpeg")]


async def test_an_export_has_the_images_and_an_import_brings_them_back() -> None:
    served, provider = pod()
    conversation = await begin(served)
    await send(served, conversation, attached(), attached(GIF, "image/gif"))

    document = (await ask(served.app, get(f"{BASE}/{conversation}/export"))).json()
    copy = (await ask(served.app, post(f"{BASE}/import", document))).json()["id"]
    await ask(served.app, post(f"{BASE}/{copy}/messages", {"content": "And?"}))

    assert images_of(provider.asked[1].messages[0]) == [url(PNG), url(GIF, "image/gif")]


@pytest.mark.parametrize("path", ["/chat", "/api/chat/stream"])
async def test_a_message_of_a_session_has_attachments_too(path: str) -> None:
    served, provider = pod()

    await ask(served.app, post(path, {"message": "What is this?", "attachments": [attached()]}))

    assert images_of(provider.asked[0].messages[0]) == [url(PNG)]


async def test_the_same_key_with_another_image_is_a_mismatch_and_with_the_same_one_a_replay() -> None:
    served, provider = pod()
    conversation, key = await begin(served), {"idempotency-key": "once"}
    assert (await send(served, conversation, attached(), **key)).status == 200

    assert (await send(served, conversation, attached(), **key)).status == 200
    assert (await send(served, conversation, attached(GIF, "image/gif"), **key)).status == 422
    assert len(provider.asked) == 1


NO_URL: Final = "send an https address, or data:TYPE;base64,DATA"
LARGE: Final = PNG + bytes(Attachments().max_bytes)


@pytest.mark.parametrize(
    ("attachment", "param", "words"),
    [
        (attached(b"<svg/>", "image/svg+xml"), "attachments[1].url", "send one"),
        (attached(b"MZ" + bytes(60), "image/png"), "attachments[1].url", "send one"),
        (attached(b"", "image/png"), "attachments[1].url", "send one"),
        (attached(JPEG, "image/png"), "attachments[1].url", "the data is image/jpeg; state image/jpeg"),
        (attached(PNG, media_type="image/gif"), "attachments[1].media_type", "state image/png"),
        (attached(PNG, "text/html"), "attachments[1].url", "state image/png"),
        (attached(LARGE), "attachments[1].url", "more than 3000000 bytes (conversations.attachments.maxBytes)"),
        ({"type": "image", "url": "data:image/png;base64,@@@@"}, "attachments[1].url", "not valid base64"),
        ({"type": "image", "url": url(PNG) + "é"}, "attachments[1].url", "not valid base64"),
        ({"type": "image", "url": "data:image/png,PNG"}, "attachments[1].url", NO_URL),
        ({"type": "image", "url": "file:///etc/passwd"}, "attachments[1].url", NO_URL),
        ({"type": "image", "url": "javascript:alert(1)"}, "attachments[1].url", NO_URL),
        ({"type": "image", "url": "data:" + ";" * 200_000}, "attachments[1].url", NO_URL),
        ({"type": "image", "url": ""}, "attachments[1].url", "length"),
        ({"type": "image"}, "attachments[1].url", "Missing"),
        ({"type": "video", "url": url(PNG)}, "attachments[1].type", "video"),
        (attached(size=1), "attachments[1].size", "Remove it"),
        (attached(name="a.png"), "attachments[1].name", "only a file has a name"),
        (attached(type="file"), "attachments[1].url", "not a PDF; send one"),
        (attached(PDF, "application/pdf"), "attachments[1].url", "send one"),
        (pdf("text/plain"), "attachments[1].url", "state application/pdf"),
        (pdf(name="a\nb"), "attachments[1].name", "printable"),
    ],
)
async def test_what_cannot_be_attached_is_refused_by_its_field(attachment: Any, param: str, words: str) -> None:  # noqa: ANN401
    served, provider = pod()
    conversation = await begin(served)

    refused = await send(served, conversation, attached(), attachment)

    assert refused.status == 400
    error = refused.json()
    assert error["code"] == "invalid_request"
    assert (error["param"], words in error["message"]) == (param, True), error
    assert len(error["message"]) < 300
    assert not provider.asked
    assert (await ask(served.app, get(f"{BASE}/{conversation}"))).json()["messages"] == []


async def test_a_message_has_a_bounded_number_of_them() -> None:
    served, provider = pod()
    conversation = await begin(served)
    many = [attached(GIF, "image/gif")] * 9

    refused = await send(served, conversation, *many)

    assert (refused.status, refused.json()["param"]) == (400, "attachments")
    assert (await send(served, conversation, *many[1:])).status == 200
    assert len(images_of(provider.asked[0].messages[0])) == 8


async def test_the_bounds_are_those_of_the_resource_and_apply_to_the_next_message() -> None:
    served, provider = pod()
    conversation = await begin(served)

    served.change("conversations", attachments=Attachments(max_bytes=1000, max_count=1))
    assert (await send(served, conversation, attached(PNG))).json()["param"] == "attachments[0].url"
    assert (await send(served, conversation, attached(GIF), attached(GIF))).json()["param"] == "attachments"
    served.change("conversations", attachments=Attachments(max_bytes=len(PNG), max_count=2))
    assert (await send(served, conversation, attached(PNG), attached(GIF, "image/gif"))).status == 200
    assert len(provider.asked) == 1


LIMIT: Final = "maxBytesPerConversation allows 5000. Start a new conversation, or have the limit raised."


def full(answer: Exchange, param: str | None) -> bool:
    body = answer.json()
    error = body.get("error", body)
    found = (answer.status, error["code"], error.get("param"))
    return found == (400, "conversation_full", param) and error["message"].endswith(LIMIT)


async def test_a_conversation_has_a_bounded_size_of_them_and_text_goes_on() -> None:
    served, provider = pod()
    served.change("conversations", attachments=Attachments(max_bytes_per_conversation=5000))
    conversation = await begin(served)
    items = f"/v1/conversations/conv_{conversation}/items"
    assert (await send(served, conversation, attached(), attached())).status == 200

    refused = await send(served, conversation, attached())
    assert full(refused, "attachments")
    assert f"would have {3 * len(PNG)} bytes of attachments" in refused.json()["message"]
    item = {"role": "user", "content": [{"type": "input_image", "image_url": url(PNG)}]}
    assert full(await ask(served.app, post(items, {"items": [item]})), "items")
    assert full(await ask(served.app, post("/v1/conversations", {"items": [item] * 3})), "items")
    response = {"model": "m", "input": [item], "conversation": f"conv_{conversation}"}
    assert full(await ask(served.app, post("/v1/responses", response)), "input")
    assert (await ask(served.app, post(f"{BASE}/{conversation}/messages", {"content": "And?"}))).status == 200
    assert len(provider.asked) == 2
    document = (await ask(served.app, get(f"{BASE}/{conversation}/export"))).json()
    served.change("conversations", attachments=Attachments(max_bytes_per_conversation=10_000))
    assert (await send(served, conversation, attached())).status == 200
    assert (await ask(served.app, post(f"{BASE}/import", document))).status == 201
    served.change("conversations", attachments=Attachments(max_bytes=1000, max_bytes_per_conversation=1000))
    refused = await ask(served.app, post(f"{BASE}/import", document))
    assert (refused.json()["code"], refused.json()["param"]) == ("conversation_full", "messages")
    assert (await ask(served.app, post(f"{BASE}/{conversation}/messages", {"content": "And?"}))).status == 200


async def test_a_chain_of_responses_has_a_bounded_size_of_them() -> None:
    served, provider = pod()
    served.change("conversations", attachments=Attachments(max_bytes_per_conversation=5000))
    image = {"type": "input_image", "image_url": url(PNG)}

    async def respond(images: int, **fields: str) -> Exchange:
        content = [{"type": "input_text", "text": "What?"}, *[image] * images]
        return await ask(
            served.app, post("/v1/responses", {"model": "m", "input": [{"role": "user", "content": content}]} | fields)
        )

    assert full(await respond(3), "input")
    first = (await respond(1)).json()["id"]
    second = (await respond(1, previous_response_id=first)).json()["id"]
    assert full(await respond(1, previous_response_id=second), "input")
    assert full(await respond(2, previous_response_id=first), "input")  # from within a chain: a copy of it
    assert (await respond(0, previous_response_id=second)).status == 200
    assert len(provider.asked) == 3


async def test_a_full_conversation_interrupts_no_answer_for_an_image() -> None:
    served = Pod(FakeProvider(text("a"), 60.0, [STOP]))
    served.change("conversations", attachments=Attachments(max_bytes_per_conversation=1000))
    conversation = await begin(served)
    first = post(f"{BASE}/{conversation}/messages", {"content": "Hi", "stream": True})
    async with asking(served.app, first) as answering:
        await first.until(b"event: token")
        body = {"content": "Hi", "attachments": [attached()], "on_busy": "interrupt"}
        refused = await ask(served.app, post(f"{BASE}/{conversation}/messages", body))
        assert refused.json()["code"] == "conversation_full"
        await answering
    assert b"event: complete" in first.body


async def test_no_address_is_requested_where_the_resource_forbids_it() -> None:
    web = Web(a=Downloaded("image/png", PNG))
    served = Pod(FakeProvider(text("a"), [STOP]), fetch=web.fetch)
    conversation, attachment = await begin(served), {"type": "image", "url": "HTTPS://a.example.com/"}
    served.change("conversations", attachments=Attachments(fetch=False))

    refused = await send(served, conversation, attached(), attachment)
    error = refused.json()
    assert (refused.status, error["code"], error["param"]) == (400, "invalid_request", "attachments[1].url")
    assert error["message"].endswith("the pods fetch no addresses (conversations.attachments.fetch); send a data URL.")
    assert (await send(served, conversation, attached())).status == 200
    assert web.asked == []
    served.change("conversations", attachments=Attachments())
    assert (await send(served, conversation, attachment)).status == 200
    assert len(web.asked) == 1


class Web:
    """What is at addresses: data with the type that its server states, or why there is none."""

    def __init__(self, **pages: Downloaded | Failure) -> None:
        self.pages = pages
        self.asked: list[tuple[str, int]] = []

    async def fetch(self, url: str, *, max_bytes: int, tenant: str) -> Downloaded:
        assert tenant == "default"
        self.asked.append((url, max_bytes))
        found = self.pages[url.removeprefix("https://").removeprefix("HTTPS://").partition(".")[0]]
        if isinstance(found, Downloaded):
            return found
        raise DownloadError(found, "10.0.0.7 refused the connection")


async def test_all_that_is_fetched_for_one_message_has_one_deadline() -> None:
    async def fetch(url: str, *, max_bytes: int, tenant: str) -> Downloaded:  # noqa: ARG001  # as the port has it
        await asyncio.sleep(SECONDS * 0.6)
        return Downloaded("image/png", PNG)

    provider, begun = FakeProvider(text("a"), [STOP]), asyncio.get_running_loop().time()
    served = Pod(provider, fetch=fetch)
    attachment = {"type": "image", "url": "https://a.example.com/"}

    refused = await send(served, await begin(served), *[attachment] * 3)

    error = refused.json()
    assert (refused.status, error["code"], error["param"]) == (502, "attachment_unavailable", "attachments[1].url")
    assert asyncio.get_running_loop().time() - begun == pytest.approx(SECONDS, abs=0.1)
    assert not provider.asked


async def test_a_full_pod_fetches_nothing() -> None:
    web = Web(a=Downloaded("image/png", PNG))
    served = Pod(FakeProvider(text("a"), [STOP]), capacity=1, fetch=web.fetch)
    conversation, attachment = await begin(served), {"type": "image", "url": "https://a.example.com/"}

    with served.pool.admit():
        refused = await send(served, conversation, attachment)
    assert (refused.status, refused.json()["code"], web.asked) == (503, "at_capacity", [])
    assert (await send(served, conversation, attachment)).status == 200


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_what_is_at_an_address_is_fetched_once_and_kept(scheme: str) -> None:
    web, provider = Web(a=Downloaded("image/png", PNG)), FakeProvider(text("a"), [STOP])
    served = Pod(provider, fetch=web.fetch)
    conversation, key = await begin(served), {"idempotency-key": "once"}
    attachment = {"type": "image", "url": f"{scheme}://a.example.com/a.png"}

    assert (await send(served, conversation, attachment, **key)).status == 200
    assert (await send(served, conversation, attachment, **key)).status == 200
    await ask(served.app, post(f"{BASE}/{conversation}/messages", {"content": "And?"}))

    assert web.asked == [(attachment["url"], 3_000_000)]
    assert [images_of(request.messages[0]) for request in provider.asked] == [[url(PNG)], [url(PNG)]]


@pytest.mark.parametrize(
    ("page", "status", "code", "words"),
    [
        ("refused", 400, "invalid_request", "use a public https address or a data URL"),
        ("not found", 400, "invalid_request", "correct the address"),
        ("too large", 400, "invalid_request", "(conversations.attachments.maxBytes)"),
        ("unavailable", 502, "attachment_unavailable", "Retry later, or send a data URL"),
        ("busy", 502, "attachment_unavailable", "cannot be fetched now"),
        (Downloaded("image/png", b"<html>"), 400, "invalid_request", "send one"),
        (Downloaded("text/html", PNG), 400, "invalid_request", "state image/png"),
    ],
)
async def test_what_cannot_be_fetched_is_refused_by_its_field_without_what_is_inside(
    page: Downloaded | Failure, status: int, code: str, words: str
) -> None:
    provider = FakeProvider(text("a"), [STOP])
    served = Pod(provider, fetch=Web(a=page).fetch)
    conversation = await begin(served)

    refused = await send(served, conversation, attached(), {"type": "image", "url": "https://a.example.com/"})

    error = refused.json()
    assert (refused.status, error["code"], error["param"]) == (status, code, "attachments[1].url")
    assert words in error["message"]
    assert "10.0.0.7" not in refused.body.decode()
    assert error["retryable"] is (status == 502)
    assert not provider.asked
    assert (await ask(served.app, get(f"{BASE}/{conversation}"))).json()["messages"] == []
