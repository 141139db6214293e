"""Names of models, as clients send them."""

from typing import Final

from chatfleet_api.domain.errors import ChatError, Code

LONGEST_NAME: Final = 128
"""Characters of a name of the catalogue: what an error repeats of one that a client sent."""


def unknown_model(model: str) -> ChatError:
    """Return the error for a model that does not exist, or that the caller may not use."""
    return ChatError(Code.MODEL_NOT_FOUND, f"The model {model[:LONGEST_NAME]!r} does not exist.", param="model")
