"""What of a configuration is not shown. Pure.

The configuration has paths of files in the place of secrets; this is for what people put where no secret belongs, such
as a password in a URL.
"""

import re
from typing import Final

from pydantic import JsonValue

MASK: Final = "***"
_SECRET: Final = re.compile(r"(password|passwd|secret|token|credential|authorization|apikey|hash)$", re.IGNORECASE)
"""Names of fields whose text is not shown."""
_USERINFO: Final = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY: Final = re.compile(r"(?<=[?&])([^=&#\s]+)=[^&#\s]*")


def masked(value: JsonValue, name: str = "") -> JsonValue:
    """Return `value`, which a field `name` has, without what may be a secret."""
    if isinstance(value, dict):
        return {key: masked(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each, name) for each in value]
    if not isinstance(value, str):
        return value
    if _SECRET.search(name):
        return MASK
    return _QUERY.sub(rf"\1={MASK}", _USERINFO.sub(f"{MASK}@", value)) if "://" in value else value
