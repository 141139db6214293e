"""Errors of vendors name fields of the common terms; clients get them with the names of their own API. Pure."""

import re
from collections.abc import Sequence

from chatfleet_api.domain.errors import ChatError


def in_own_names(error: ChatError, names: Sequence[tuple[str, str]]) -> ChatError:
    """Return an error about a field of the common terms as one about the field that the client sent.

    `names` are pairs: a field of the common terms, and that of the API.
    """
    for common, own in names:
        if error.param == common or (error.param or "").startswith((f"{common}[", f"{common}.")):
            param = own + (error.param or "").removeprefix(common)
            message = re.sub(rf"\b{common}(?=['\[.])", own, error.message)
            return ChatError(error.code, message, param=param, retry_after=error.retry_after, detail=error.detail)
    return error
