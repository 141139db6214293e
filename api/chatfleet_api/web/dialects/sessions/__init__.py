"""Sessions: `POST /chat` and `POST /api/chat/stream` send a message and stream its answer in one request.

A session is a conversation with the same id. Errors and events are those of the native dialect.
"""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.native.errors import dialect_code, error_body, error_frame, parse_error
from chatfleet_api.web.dialects.sessions.request import ChatBody, ChatStreamBody
from chatfleet_api.web.dialects.sessions.routes import (
    CHAT,
    CHAT_STREAM,
    SessionBody,
    chat_routes,
    chat_stream_routes,
    session_routes,
)
from chatfleet_api.web.error_format import ErrorFormat

_ERRORS: Final = ErrorFormat(error_body, error_frame, parse_error, dialect_code)

SESSIONS: Final = Dialect(
    prefix=CHAT,
    errors=_ERRORS,
    wants_stream=lambda _accept, _body: True,
    hot_routes=chat_routes,
    routers=lambda services: (session_routes(services.conversations, services.usage),),
    bodies=(ChatBody, SessionBody),
    links=(("chat", CHAT),),
)
CHAT_STREAMS: Final = Dialect(
    prefix=CHAT_STREAM,
    errors=_ERRORS,
    wants_stream=lambda _accept, _body: True,
    hot_routes=chat_stream_routes,
    bodies=(ChatStreamBody,),
)
