"""What becomes of each property of a request for embeddings, and of one for a conversation, which the pod stores."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from openai.types.conversations import conversation_create_params, item_create_params
from openai.types.embedding_create_params import EmbeddingCreateParams

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.dialects.openai.embeddings import read_embeddings
from harness.clients.asgi import ask, get, post
from harness.conformance.dialects import with_demanded
from harness.conformance.outcomes import Outcome, refused, summary
from harness.conformance.properties import Property, properties_of
from harness.pods.api_pod import Pod
from harness.pods.runs import FakeProvider

PATH = "/v1/conversations"
QUERY = "include"
"""In the SDK's type of a body, and sent in the URL."""


def embeddings() -> dict[str, Outcome]:
    """Return what becomes of each property of a request for embeddings, at every vendor that has some."""
    return {each.path: summary({_embedded(probe.document, each) for probe in each.probes}) for each in EMBEDDINGS}


def conversations() -> dict[str, Outcome]:
    """Return what becomes of each property of a conversation and of its items."""
    return asyncio.run(_conversations())


async def _conversations() -> dict[str, Outcome]:
    pod, found = Pod(FakeProvider()), {}
    for each in CONVERSATIONS:
        found[each.path] = summary({await _stored(pod, probe.document, each) for probe in each.probes})
    return found


def _embedded(document: dict[str, Any], each: Property) -> Outcome:
    try:
        arrived = json.loads(read_embeddings(json.dumps(document).encode()).body("upstream"))
    except ChatError as error:
        return refused(error, each)
    return Outcome.PASSED if document == {**arrived, "model": document["model"]} else Outcome.LOST


async def _stored(pod: Pod, document: dict[str, Any], each: Property) -> Outcome:
    document = with_demanded(document)
    created = await ask(pod.app, post(PATH, document))
    body = created.json()
    if created.status != 200:
        error = body["error"]
        return refused(ChatError(Code.INVALID_REQUEST, error["message"], param=error["param"]), each)
    listed = await ask(pod.app, get(f"{PATH}/{body['id']}/items?order=asc"))
    sent = document.get("items") or []
    kept = [_is_kept(item, shown) for item, shown in zip(sent, listed.json()["data"], strict=True)]
    is_whole = all(kept) and body["metadata"] == (document.get("metadata") or {})
    return Outcome.HONORED if is_whole else Outcome.LOST


def _is_kept(item: dict[str, Any], shown: dict[str, Any]) -> bool:
    """Return whether an item is shown as it came; a text may be shown as a part."""
    if isinstance(text := item.get("content"), str) and shown["content"][0].get("text") == text:
        item = {name: value for name, value in item.items() if name != "content"}
    return all(shown.get(name) == value for name, value in item.items())


def _without_query(properties: Iterable[Property]) -> dict[str, Property]:
    return {each.path: each for each in properties if each.top != QUERY}


EMBEDDINGS = properties_of(EmbeddingCreateParams)
_BEGUN = properties_of(conversation_create_params.ConversationCreateParams)
_ADDED = properties_of(item_create_params.ItemCreateParams)
CONVERSATIONS = list({**_without_query(_ADDED), **_without_query(_BEGUN)}.values())
