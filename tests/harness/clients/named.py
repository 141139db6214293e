"""Every route that takes an id, and how a caller names each kind of id there."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, Final, NamedTuple

from uuid_utils import uuid7

from chatfleet_api.chat.items import item_owner
from chatfleet_api.web.dialects.responses.ids import conversation_id, read_item_id, response_id
from harness.clients.asgi import JSON, Exchange, get, post

VERBS: Final = ("read", "write", "list", "resume", "cancel", "delete")


class Ids(NamedTuple):
    """One id of each kind, all of one caller; of a response the two parts of its id."""

    conversation: str
    run: str
    item: str
    thread: str
    response_run: str

    @property
    def openai_conversation(self) -> str:
        return conversation_id(self.conversation)

    @property
    def response(self) -> str:
        return response_id(self.thread, self.response_run)

    def mask(self, body: bytes) -> bytes:
        """Return `body` with the kind in the place of each id."""
        for kind, ident in (*self._asdict().items(), ("response", self.response)):
            for form in {ident, ident.replace("-", "")}:
                body = body.replace(form.encode(), f"<{kind}>".encode())
        return body


KINDS: Final = Ids._fields


def made_up() -> Ids:
    """Return ids that nothing has ever had."""
    item = "msg_" + item_owner(str(uuid7()), str(uuid7()))
    return Ids(str(uuid7()), str(uuid7()), item, str(uuid7()), str(uuid7()))


class Probe(NamedTuple):
    """A request that names ids."""

    route: str
    verb: str
    kinds: tuple[str, ...]
    build: Callable[[Ids], Exchange]
    shows: bool = True
    """Whether its answer shows that they exist."""
    waits: bool = False
    """Whether its answer begins when the model's has ended."""

    def mixtures(self, own: Ids, named: Ids) -> Iterator[tuple[tuple[str, ...], Ids]]:
        """Yield `own` with some of its ids replaced by those of `named`, in every way that concerns the request."""
        for count in range(1, len(self.kinds) + 1):
            for kinds in combinations(self.kinds, count):
                yield kinds, own._replace(**{kind: getattr(named, kind) for kind in kinds})


def _delete(path: str) -> Exchange:
    return Exchange("DELETE", path)


def _patch(path: str, body: object) -> Exchange:
    return Exchange("PATCH", path, body=json.dumps(body).encode(), headers=JSON)


def _streamed(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {"model": "m", "stream": True, **fields}


_NATIVE, _ITEMS, _RESPONSE = "/api/v1/conversations", "/v1/conversations", "/v1/responses"
_C: Final = ("conversation",)
_CR: Final = ("conversation", "run")
_CI: Final = ("conversation", "item")
_R: Final = ("thread", "response_run")
_ONE: Final = f"{_NATIVE}/{{conversation_id}}"
_OPENAI: Final = f"{_ITEMS}/{{conversation}}"
_RESP: Final = f"{_RESPONSE}/{{response_id}}"
_DURABLE: Final = "GET /api/v1/durable-streams/{conversation_id}/{run}"
_MESSAGE: Final = {"type": "message", "role": "user", "content": "Hi"}


def _response(**fields: Any) -> Exchange:  # noqa: ANN401  # JSON
    return post(_RESPONSE, _streamed(input="Hi", **fields))


def _referred(ids: Ids) -> list[dict[str, str]]:
    return [{"type": "item_reference", "id": ids.item}]


def _approval(ids: Ids) -> dict[str, Any]:
    return {"approval_request_id": "mcpar_" + ids.item.removeprefix("msg_") + "_1", "approve": True}


def _approved(ids: Ids) -> dict[str, Any]:
    return {"approvals": [_approval(ids)], "stream": True}


def _decision(ids: Ids) -> dict[str, Any]:
    return {"type": "mcp_approval_response", **_approval(ids)}


def _native(ids: Ids, rest: str = "") -> str:
    return f"{_NATIVE}/{ids.conversation}{rest}"


def _durable(ids: Ids, query: str = "") -> str:
    return f"/api/v1/durable-streams/{ids.conversation}/{ids.run}{query}"


def _message_of(item: str) -> str:
    place = read_item_id(item)
    assert place is not None
    return place.message


def _openai(ids: Ids, rest: str = "") -> str:
    return f"{_ITEMS}/{ids.openai_conversation}{rest}"


def _stored(ids: Ids, rest: str = "") -> str:
    return f"{_RESPONSE}/{ids.response}{rest}"


_GIF: Final = f"data:image/gif;base64,{b64encode(b'GIF89a' + bytes(2000)).decode()}"
PROBES: Final = (
    Probe("GET /api/v1/usage", "read", _C, lambda ids: get(f"/api/v1/usage?conversation_id={ids.conversation}")),
    Probe(f"GET {_NATIVE}", "list", _C, lambda ids: get(f"{_NATIVE}?cursor=1.{ids.conversation}"), shows=False),
    Probe(f"GET {_ONE}", "read", _C, lambda ids: get(_native(ids))),
    Probe(f"GET {_ONE}/messages", "list", _C, lambda ids: get(_native(ids, "/messages"))),
    Probe(
        f"POST {_ONE}/messages",
        "write",
        _C,
        lambda ids: post(_native(ids, "/messages"), {"content": "x", "stream": True}),
    ),
    Probe(
        f"POST {_ONE}/messages",
        "write",
        _C,
        lambda ids: post(_native(ids, "/messages"), {"content": "x", "stream": True, "on_busy": "interrupt"}),
    ),
    Probe(
        f"POST {_ONE}/messages",
        "write",
        _C,
        lambda ids: post(_native(ids, "/messages"), {"content": "Hi", "stream": True}, **{"idempotency-key": "once"}),
    ),
    Probe(
        f"POST {_ONE}/messages",
        "write",
        _C,
        lambda ids: post(
            _native(ids, "/messages"), {"content": "x", "stream": True, "attachments": [{"type": "image", "url": _GIF}]}
        ),
    ),
    Probe(f"GET {_ONE}/export", "read", _C, lambda ids: get(_native(ids, "/export"))),
    Probe(f"GET {_ONE}/export", "read", _C, lambda ids: get(_native(ids, "/export?branches=all"))),
    Probe(f"GET {_ONE}/export", "read", _C, lambda ids: get(_native(ids, "/export?format=markdown"))),
    Probe(
        f"POST {_ONE}/messages/{{message_id}}/regenerate",
        "write",
        _CI,
        lambda ids: post(_native(ids, f"/messages/{_message_of(ids.item)}/regenerate"), {"stream": True}),
    ),
    Probe(
        f"POST {_ONE}/messages",
        "write",
        _CI,
        lambda ids: post(
            _native(ids, "/messages"), {"content": "x", "stream": True, "parent_id": _message_of(ids.item)}
        ),
    ),
    Probe(f"PATCH {_ONE}", "write", _CI, lambda ids: _patch(_native(ids), {"head": _message_of(ids.item)})),
    Probe(f"GET {_ONE}/stream", "resume", _C, lambda ids: get(_native(ids, "/stream"))),
    Probe(f"GET {_ONE}/stream", "resume", _CR, lambda ids: get(_native(ids, f"/stream?after={ids.run}-1"))),
    Probe(
        f"GET {_ONE}/stream",
        "resume",
        _CR,
        lambda ids: get(_native(ids, "/stream"), **{"last-event-id": f"{ids.run}-1"}),
    ),
    Probe(_DURABLE, "resume", _CR, lambda ids: get(_durable(ids))),
    Probe(_DURABLE, "resume", _CR, lambda ids: get(_durable(ids, "?offset=-1&live=long-poll"))),
    Probe(_DURABLE, "resume", _CR, lambda ids: get(_durable(ids, "?offset=now&live=sse"))),
    Probe(_DURABLE, "read", _CR, lambda ids: Exchange("HEAD", _durable(ids))),
    Probe(f"POST {_ONE}/approvals", "write", _CI, lambda ids: post(_native(ids, "/approvals"), _approved(ids))),
    Probe(f"POST {_ONE}/cancel", "cancel", _C, lambda ids: post(_native(ids, "/cancel"), {})),
    Probe(f"PATCH {_ONE}", "write", _C, lambda ids: _patch(_native(ids), {"metadata": {"a": "b"}})),
    Probe(f"POST {_ONE}/feedback", "write", _C, lambda ids: post(_native(ids, "/feedback"), {"thumb": "up"})),
    Probe(
        f"POST {_ONE}/feedback",
        "write",
        _CI,
        lambda ids: post(_native(ids, "/feedback"), {"thumb": "up", "message_id": _message_of(ids.item)}),
        shows=False,
    ),
    Probe(f"GET {_ONE}/feedback", "list", _C, lambda ids: get(_native(ids, "/feedback"))),
    Probe(f"DELETE {_ONE}", "delete", _C, lambda ids: _delete(_native(ids))),
    Probe("GET /sessions/{session_id}", "read", _C, lambda ids: get(f"/sessions/{ids.conversation}")),
    Probe("DELETE /sessions/{session_id}", "delete", _C, lambda ids: _delete(f"/sessions/{ids.conversation}")),
    Probe(f"GET {_OPENAI}", "read", _C, lambda ids: get(_openai(ids))),
    Probe(f"POST {_OPENAI}", "write", _C, lambda ids: post(_openai(ids), {"metadata": {"a": "b"}})),
    Probe(f"DELETE {_OPENAI}", "delete", _C, lambda ids: _delete(_openai(ids))),
    Probe(f"GET {_OPENAI}/items", "list", _C, lambda ids: get(_openai(ids, "/items"))),
    Probe(f"GET {_OPENAI}/items", "list", _CI, lambda ids: get(_openai(ids, f"/items?after={ids.item}"))),
    Probe(f"POST {_OPENAI}/items", "write", _C, lambda ids: post(_openai(ids, "/items"), {"items": [_MESSAGE]})),
    Probe(f"GET {_OPENAI}/items/{{item}}", "read", _CI, lambda ids: get(_openai(ids, f"/items/{ids.item}"))),
    Probe(f"DELETE {_OPENAI}/items/{{item}}", "delete", _CI, lambda ids: _delete(_openai(ids, f"/items/{ids.item}"))),
    Probe(f"GET {_RESP}", "read", _R, lambda ids: get(_stored(ids))),
    Probe(f"GET {_RESP}", "resume", _R, lambda ids: get(_stored(ids, "?stream=true&starting_after=0"))),
    Probe(f"GET {_RESP}/input_items", "list", _R, lambda ids: get(_stored(ids, "/input_items"))),
    Probe(f"POST {_RESP}/cancel", "cancel", _R, lambda ids: post(_stored(ids, "/cancel"), {})),
    Probe(f"DELETE {_RESP}", "delete", _R, lambda ids: _delete(_stored(ids))),
    Probe(f"POST {_RESPONSE}", "write", _R, lambda ids: _response(previous_response_id=ids.response)),
    Probe(f"POST {_RESPONSE}", "write", _C, lambda ids: _response(conversation=ids.openai_conversation)),
    Probe(
        f"POST {_RESPONSE}",
        "write",
        (*_R, "item"),
        lambda ids: post(_RESPONSE, _streamed(input=[_decision(ids)], previous_response_id=ids.response)),
    ),
    Probe(f"POST {_RESPONSE}", "write", ("item",), lambda ids: post(_RESPONSE, _streamed(input=_referred(ids)))),
    Probe(
        f"POST {_RESPONSE}/input_tokens",
        "read",
        ("item",),
        lambda ids: post(f"{_RESPONSE}/input_tokens", {"model": "m", "input": _referred(ids)}),
    ),
    Probe(
        f"POST {_RESPONSE}/input_tokens",
        "read",
        _R,
        lambda ids: post(
            f"{_RESPONSE}/input_tokens", {"model": "m", "input": "Hi", "previous_response_id": ids.response}
        ),
    ),
    Probe(
        f"POST {_RESPONSE}/input_tokens",
        "read",
        _C,
        lambda ids: post(
            f"{_RESPONSE}/input_tokens", {"model": "m", "input": "Hi", "conversation": ids.openai_conversation}
        ),
    ),
    Probe(
        f"POST {_RESPONSE}/compact",
        "read",
        _R,
        lambda ids: post(f"{_RESPONSE}/compact", {"model": "m", "input": "Hi", "previous_response_id": ids.response}),
        waits=True,
    ),
)
"""The requests that name ids of what is stored."""

NO_IDS: Final = {
    "POST /v1/chat/completions": "nothing of it is kept: its id leads nowhere",
    "POST /v1/messages": "nothing of it is kept: its id leads nowhere",
    "POST /v1/messages/count_tokens": "nothing of it is kept",
    "POST /v1/embeddings": "nothing of it is kept",
    "POST /api/v1/conversations": "makes a new id",
    "POST /api/v1/conversations/import": "makes new ids: those of an export lead nowhere",
    "POST /v1/conversations": "makes a new id",
    "POST /api/v1/ai-sdk": "a chat's id is its caller's: two callers who name one alike have a chat each",
    "GET /api/v1/ai-sdk/{chat_id}/stream": "a chat's id is its caller's, as above",
    "POST /api/v1/ag-ui": "a thread's id is its caller's: two callers who name one alike have a thread each",
    "POST /chat": "whoever names what is not its own gets a new session",
    "POST /api/chat/stream": "whoever names what is not its own gets a new conversation",
    "PUT /api/v1/users/me/webhook": "names no id: the webhook is the caller's",
    "GET /api/v1/users/me/webhook": "names no id, as above",
    "DELETE /api/v1/users/me/webhook": "names no id, as above",
    "GET /v1/models": "the catalogue of the ChatDeployment",
    "GET /v1/models/{name:path}": "the catalogue of the ChatDeployment",
    "GET /": "documentation",
    "GET /docs": "documentation",
    "GET /docs/oauth2-redirect": "documentation",
    "GET /redoc": "documentation",
    "GET /openapi.json": "documentation",
    "GET /live": "the state of the pod",
    "GET /ready": "the state of the pod",
    "GET /startup": "the state of the pod",
    "GET /health": "the state of the pod",
    "GET /health/detailed": "the state of the pod",
    "GET /health/simple": "the state of the pod",
    "GET /health/{component}": "the state of the pod",
    "GET /metrics": "the state of the pod, without series of tenants",
}
"""The other routes, and why no id of a tenant's is there."""
