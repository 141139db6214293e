"""The OpenAI Responses API, for text and images in the input: stored, resumed and cancelled by id."""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.responses.compact import CompactBody, compact_routes
from chatfleet_api.web.dialects.responses.conversations import BODIES, conversation_routes, item_routes
from chatfleet_api.web.dialects.responses.errors import dialect_code, error_body, error_frame, parse_error
from chatfleet_api.web.dialects.responses.request import ResponseBody, wants_stream
from chatfleet_api.web.dialects.responses.routes import PATH, hot_routes
from chatfleet_api.web.dialects.responses.stored import response_routes
from chatfleet_api.web.error_format import ErrorFormat

RESPONSES: Final = Dialect(
    prefix=PATH,
    errors=ErrorFormat(error_body, error_frame, parse_error, dialect_code),
    wants_stream=wants_stream,
    hot_routes=hot_routes,
    routers=lambda services: (
        response_routes(services.responses),
        compact_routes(services.responses, PATH),
        conversation_routes(services.conversations),
        item_routes(services.conversations),
    ),
    bodies=(ResponseBody, CompactBody, *BODIES),
)
