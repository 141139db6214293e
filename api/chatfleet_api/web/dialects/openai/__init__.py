"""The OpenAI chat completions API and the list of models; other paths below `/v1` fail as the vendor's do."""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.openai.body import ChatCompletionBody
from chatfleet_api.web.dialects.openai.embeddings import EmbeddingsBody, embeddings_routes
from chatfleet_api.web.dialects.openai.errors import VendorErrorBody, dialect_code, error_body, error_frame, parse_error
from chatfleet_api.web.dialects.openai.request import wants_stream
from chatfleet_api.web.dialects.openai.routes import hot_routes, model_routes
from chatfleet_api.web.error_format import ErrorFormat

OPENAI: Final = Dialect(
    prefix="/v1",
    errors=ErrorFormat(error_body, error_frame, parse_error, dialect_code),
    wants_stream=wants_stream,
    hot_routes=lambda services: (*hot_routes(services), *embeddings_routes(services.embeddings)),
    routers=lambda services: (model_routes(services.models),),
    links=(("openai_base_url", "/v1"),),
    bodies=(ChatCompletionBody, EmbeddingsBody, VendorErrorBody),
)
