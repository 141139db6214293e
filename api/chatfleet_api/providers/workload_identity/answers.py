"""What a token endpoint answers: an access token (RFC 6749, section 5.1), or why there is none (section 5.2). Pure."""

from typing import Final, NamedTuple

import msgspec

from chatfleet_api.providers.error_objects import parse_error
from chatfleet_api.providers.workload_identity.endpoint import unusable

UNSTATED_SECONDS: Final = 300.0
"""Lifetime of an access token whose endpoint states none."""
MAX_SECONDS: Final = 31_536_000.0


class AccessToken(NamedTuple):
    """Authenticates requests until it expires."""

    value: str
    expires: float
    """Unix seconds."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what no message may have."""
        return (self.value,)


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None
    token_type: str | None = None


class _Refusal(msgspec.Struct):
    error: str
    error_description: str = ""


def access_token(answer: bytes, now: float) -> AccessToken:
    """Return the access token in a response that came `now`; raise `ChatError` when it has none that can be sent."""
    try:
        found = msgspec.json.decode(answer, type=_Answer)
        lifetime = UNSTATED_SECONDS if found.expires_in is None else float(found.expires_in)
    except (msgspec.MsgspecError, ValueError):
        raise unusable("the answer of the token endpoint has no access_token, or its expires_in is no number") from None
    token = found.access_token
    if (found.token_type or "bearer").lower() != "bearer":
        raise unusable(f"the token endpoint gives a token of type {found.token_type}; let it give one of type Bearer")
    if not (token and token.isascii() and token.isprintable() and " " not in token):
        raise unusable("the access token is empty or has characters that no header may have")
    if not 0 < lifetime <= MAX_SECONDS:
        raise unusable(f"the access token expires in {lifetime:g} s; correct its lifetime at the token endpoint")
    return AccessToken(token, now + lifetime)


def words_of(refusal: bytes) -> str:
    """Return the endpoint's own words."""
    try:
        found = msgspec.json.decode(refusal, type=_Refusal)
    except msgspec.MsgspecError:
        error = parse_error(refusal)
        return ": ".join(filter(None, (error.type, error.message))) or refusal.decode("utf-8", "replace")
    return ": ".join(filter(None, (found.error, found.error_description)))
