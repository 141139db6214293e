"""Compaction: a conversation as its user's messages and a summary, which stand for it in the next input."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from chatfleet_api.chat.compaction import sealed_summary
from chatfleet_api.chat.responses import Responses
from chatfleet_api.web.body import decode_body, require_json
from chatfleet_api.web.caller import Caller
from chatfleet_api.web.collect import collect
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody
from chatfleet_api.web.dialects.responses.encode import usage_of
from chatfleet_api.web.dialects.responses.items import items_of
from chatfleet_api.web.dialects.responses.references import resolved
from chatfleet_api.web.dialects.responses.request import read_response
from chatfleet_api.web.documentation import fails, takes
from chatfleet_api.web.sse import json_text


class CompactBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/responses/compact`."""

    model: str
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    # Hints, which change no summary.
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    image: dict[str, Any] | None = None


_BODY = msgspec.json.Decoder(CompactBody)


def compact_routes(responses: Responses, path: str) -> APIRouter:
    router = APIRouter(prefix=path, tags=["OpenAI dialect"], responses=fails(VendorErrorBody))

    @router.post("/compact", openapi_extra=takes(CompactBody))
    async def compact_response(request: Request, caller: Caller) -> Response:
        """Summarize a conversation by its model; what is stored of it stays as it is."""
        require_json(request.headers.get("content-type"))
        raw = await request.body()
        decode_body(raw, _BODY)
        new = read_response(await resolved(raw, caller, responses), caller).new
        run, questions = await responses.compact(caller, new)
        try:
            answer = await collect(run.read())
        finally:
            run.cancel()
        users = [item for message in questions for item in items_of(None, message) if item.get("role") == "user"]
        summary = {"id": f"cmp_{run.id}", "type": "compaction", "encrypted_content": sealed_summary(answer.reply.text)}
        body = {
            "id": f"resp_{run.id.replace('-', '')}",
            "object": "response.compaction",
            "created_at": answer.start.created,
            "output": [*users, summary],
            "usage": usage_of(answer.complete.usage),
        }
        return Response(json_text(body), headers={"cache-control": "no-store"}, media_type="application/json")

    return router
