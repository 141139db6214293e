"""Anthropic's Messages API, and the count of tokens. The list of models is at OpenAI's path (`openai/routes`).

events     from the events of a run to those of a message; message puts these together
blocks     the conversation in the common terms; parameters: all else
models     the catalogue as Anthropic lists it
"""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.messages.body import CountTokensBody, MessagesBody, TokenCount
from chatfleet_api.web.dialects.messages.errors import (
    MessagesErrorBody,
    dialect_code,
    dialect_status,
    error_body,
    error_frame,
    parse_error,
)
from chatfleet_api.web.dialects.messages.request import wants_stream
from chatfleet_api.web.dialects.messages.routes import PATH, hot_routes
from chatfleet_api.web.error_format import ErrorFormat
from chatfleet_api.web.quota import anthropic_headers

MESSAGES_DIALECT: Final = Dialect(
    prefix=PATH,
    errors=ErrorFormat(error_body, error_frame, parse_error, dialect_code, dialect_status),
    wants_stream=wants_stream,
    hot_routes=hot_routes,
    bodies=(MessagesBody, CountTokensBody, TokenCount, MessagesErrorBody),
    links=(("anthropic_base_url", "/"),),
    request_id_header=b"request-id",
    quota_headers=anthropic_headers,
)
