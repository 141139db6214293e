"""The read side of Durable Streams: the events of a run as a stream of JSON, by catch-up, long-poll and SSE."""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.durable_streams.routes import PREFIX, hot_routes
from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.dialects.native.errors import dialect_code, error_body, error_frame, parse_error
from chatfleet_api.web.dialects.native.request import wants_stream
from chatfleet_api.web.error_format import ErrorFormat

DURABLE_STREAMS: Final = Dialect(
    prefix=PREFIX,
    errors=ErrorFormat(error_body, error_frame, parse_error, dialect_code),
    wants_stream=wants_stream,
    hot_routes=hot_routes,
    bodies=(ErrorBody,),
)
