"""The UI message stream of Vercel's AI SDK: a chat of `useChat` is a conversation that the server keeps."""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.ai_sdk.errors import error_frame
from chatfleet_api.web.dialects.ai_sdk.request import ChatBody, wants_stream
from chatfleet_api.web.dialects.ai_sdk.routes import PREFIX, hot_routes
from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.dialects.native.errors import dialect_code, error_body, parse_error
from chatfleet_api.web.error_format import ErrorFormat

AI_SDK: Final = Dialect(
    prefix=PREFIX,
    errors=ErrorFormat(error_body, error_frame, parse_error, dialect_code),
    wants_stream=wants_stream,
    hot_routes=hot_routes,
    bodies=(ChatBody, ErrorBody),
    links=(("ai_sdk", PREFIX),),
)
