"""AG-UI 1.0, the protocol between agents and user interfaces: a thread is a conversation that the server keeps."""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.ag_ui.errors import error_frame
from chatfleet_api.web.dialects.ag_ui.request import RunAgentInput, wants_stream
from chatfleet_api.web.dialects.ag_ui.routes import PREFIX, hot_routes
from chatfleet_api.web.dialects.native.bodies import ErrorBody
from chatfleet_api.web.dialects.native.errors import dialect_code, error_body, parse_error
from chatfleet_api.web.error_format import ErrorFormat

AG_UI: Final = Dialect(
    prefix=PREFIX,
    errors=ErrorFormat(error_body, error_frame, parse_error, dialect_code),
    wants_stream=wants_stream,
    hot_routes=hot_routes,
    bodies=(RunAgentInput, ErrorBody),
    links=(("ag_ui", PREFIX),),
)
