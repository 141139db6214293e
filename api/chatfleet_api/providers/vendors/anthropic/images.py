"""Images as Anthropic takes them. Pure."""

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.upstream_errors import clean

if TYPE_CHECKING:
    from chatfleet_api.providers.vendors.anthropic.sdk_types import ImageBlockParam

_Kind: TypeAlias = Literal["image/jpeg", "image/png", "image/gif", "image/webp"]

_DATA_URL: Final = re.compile(r"\s*data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
_KINDS: Final = MappingProxyType[str, _Kind](
    {
        "image/jpeg": "image/jpeg",
        "image/jpg": "image/jpeg",
        "image/pjpeg": "image/jpeg",
        "image/png": "image/png",
        "image/x-png": "image/png",
        "image/gif": "image/gif",
        "image/webp": "image/webp",
    }
)
_BEGINNINGS: Final = MappingProxyType[str, _Kind](
    {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
)
"""First characters of the data, which Anthropic compares with the type: the data is right when they differ."""
_SHOWN: Final = 60


def image(url: str, where: str) -> "ImageBlockParam":
    """Return the image at `url`, or in it; raise `ChatError(INVALID_REQUEST)` for what Anthropic refuses."""
    head = _DATA_URL.match(url)
    if head is None:
        return {"type": "image", "source": {"type": "url", "url": _https(url.strip(), where)}}
    stated = head[1].strip().lower()
    data = "".join(url[head.end() :].split())
    kind = next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), _KINDS.get(stated))
    if kind is None:
        named = clean(stated, limit=_SHOWN) or "without a type"
        raise _refused(f"The model's provider does not support images {named}; send JPEG, PNG, GIF or WebP.", where)
    if "base64" not in head[2].lower() or not data:
        raise _refused(f"The image in '{where}' is empty or not base64; send data:{kind};base64,DATA.", where)
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _https(url: str, where: str) -> str:
    """Return the only kind of address from which Anthropic fetches images."""
    scheme, colon, address = url.partition("://")
    if scheme.lower() == "https" and colon:
        return f"https://{address}"
    named = f"an {clean(scheme, limit=_SHOWN)}:// address" if colon else "no https:// address"
    remedy = "use an https:// address or a data URL"
    raise _refused(f"The image in '{where}' has {named}, which the model's provider does not support; {remedy}.", where)


def _refused(message: str, where: str) -> ChatError:
    return ChatError(Code.INVALID_REQUEST, message, param=where)
