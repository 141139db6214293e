"""The header that makes it safe to send a request again."""

import re
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.web.client import Client

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile("[!-~]{1,256}")


def idempotency_key(client: Client) -> str | None:
    """Return the key of a request, None when it has none; raise `ChatError(INVALID_REQUEST)` for what is no key."""
    key = client.header(b"idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        message = f"Invalid value for '{HEADER}': send 1 to 256 visible characters, such as a UUID."
        raise ChatError(Code.INVALID_REQUEST, message, param=HEADER)
    return key
