"""API keys as Secrets have them, and the table that finds the key that a client sent. Pure.

A value of a Secret is a key, its SHA-256 (`sha256:` and 64 hexadecimal digits), or a JSON object with `key` or `hash`
and, optional, `tenant`, `user`, `models`, `expires`, and limits of its own (`own_limits`).
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from chatfleet_api.domain.key_limits import KeyLimits, LimitsOfKeys, smaller
from chatfleet_api.domain.model_names import LONGEST_NAME
from chatfleet_api.domain.principal import Grant, Principal, is_tenant, is_user
from chatfleet_api.identity.own_limits import own_limits

MIN_KEY_CHARACTERS: Final = 24
"""Of a key that a Secret has: a shorter one could be guessed."""
MAX_KEY_BYTES: Final = 512
ANY_USER: Final = "*"
"""The user of a key whose requests may name any."""
API_KEY: Final = "key:"
"""Begins the subject of callers with an API key."""
_KEY: Final = re.compile(r"[!-~]+")
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")


class UnusableKeyError(ValueError):
    """A value of a Secret that is no API key; the message has no part of the value."""


class _Fields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str | None = None
    hash: str | None = None
    tenant: str | None = None
    user: str | None = None
    expires: datetime | None = None
    models: tuple[str, ...] | None = None
    requests_per_minute: Any = msgspec.field(default=None, name="requestsPerMinute")
    tokens_per_minute: Any = msgspec.field(default=None, name="tokensPerMinute")
    concurrent_streams: Any = msgspec.field(default=None, name="concurrentStreams")
    budget: Any = None


@dataclass(frozen=True, slots=True)
class APIKey:
    """One API key, without the key itself."""

    digest: bytes
    """SHA-256 of the key."""
    principal: Principal
    expires: datetime | None = None
    own: KeyLimits | None = None
    """Limits of its own."""

    def valid(self, now: datetime) -> bool:
        """Return whether the key has not expired."""
        return self.expires is None or now < self.expires


def parse_key(text: str, *, name: str, tenant: str, secret: str | None = None) -> APIKey:
    """Return the key in a value of a Secret; raise `UnusableKeyError`.

    `name` is that of the value in `secret`, `tenant` that of callers whose key names none.
    """
    fields = _fields(text.strip())
    if (fields.key is None) == (fields.hash is None):
        raise UnusableKeyError("it must have exactly one of key and hash")
    who = tenant if fields.tenant is None else fields.tenant
    if not is_tenant(who):
        raise UnusableKeyError("its tenant must have at most 128 letters, digits, dashes, dots, underscores or @")
    if fields.user is not None and not is_user(fields.user):
        raise UnusableKeyError("its user must have 1 to 256 characters")
    if fields.expires is not None and fields.expires.tzinfo is None:
        raise UnusableKeyError("its expires must have a time zone, such as 2027-01-31T00:00:00Z")
    if fields.models is not None and not all(1 <= len(model) <= LONGEST_NAME for model in fields.models or ("",)):
        raise UnusableKeyError("its models must be a list of one or more names, each of at most 128 characters")
    any_user = fields.user == ANY_USER
    user = None if any_user else fields.user
    models = None if fields.models is None else frozenset(fields.models)
    principal = Principal(
        who, subject=f"{API_KEY}{name}", user=user, any_user=any_user, models=models, secret=secret, grant=Grant()
    )
    return APIKey(_digest(fields), principal, fields.expires, _own(fields))


def _own(fields: _Fields) -> KeyLimits | None:
    limit = {
        "requestsPerMinute": fields.requests_per_minute,
        "tokensPerMinute": fields.tokens_per_minute,
        "concurrentStreams": fields.concurrent_streams,
    }
    try:
        return own_limits(limit, fields.budget)
    except ValueError as error:
        raise UnusableKeyError(str(error)) from None


def _fields(text: str) -> _Fields:
    if text.startswith("{"):
        try:
            return msgspec.json.decode(text, type=_Fields)
        except msgspec.MsgspecError:
            raise UnusableKeyError("it is no JSON object of the fields that a key may have") from None
    return _Fields(hash=text) if text.startswith("sha256:") else _Fields(key=text)


def _digest(fields: _Fields) -> bytes:
    if fields.hash is not None:
        found = _HASH.fullmatch(fields.hash)
        if found is None:
            raise UnusableKeyError("its hash must be sha256: and 64 lower-case hexadecimal digits")
        return bytes.fromhex(found[1])
    key = fields.key or ""
    if not _KEY.fullmatch(key) or not MIN_KEY_CHARACTERS <= len(key) <= MAX_KEY_BYTES:
        raise UnusableKeyError(f"it must have {MIN_KEY_CHARACTERS} to {MAX_KEY_BYTES} printable ASCII characters")
    return hashlib.sha256(key.encode()).digest()


class KeyTable:
    """The keys by their keyed hash, which a client cannot choose: a look-up discloses nothing by its time."""

    def __init__(self, keys: Iterable[APIKey], *, pepper: bytes) -> None:
        self._pepper = pepper
        self._keys: Mapping[bytes, APIKey] = {self._index(key.digest): key for key in keys}
        self.keys = tuple(self._keys.values())
        self.principals = tuple(key.principal for key in self.keys)
        """Those whom the keys are for."""
        self.limits: LimitsOfKeys = _limits(self.keys)
        """Those that keys have of their own."""

    def find(self, presented: bytes) -> APIKey | None:
        """Return the key that a client sent; None: there is none."""
        if len(presented) > MAX_KEY_BYTES:
            return None
        digest = hashlib.sha256(presented).digest()
        known = self._keys.get(self._index(digest))
        return known if known is not None and hmac.compare_digest(known.digest, digest) else None

    def _index(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._pepper, digest_size=32).digest()


def _limits(keys: Iterable[APIKey]) -> LimitsOfKeys:
    """Return the limits by key; two Secrets may have one of the same tenant and name, which is one to `perKey`."""
    found: dict[tuple[str, str], KeyLimits] = {}
    for key in keys:
        if key.own is not None:
            name = key.principal.tenant, key.principal.subject or ""
            found[name] = smaller(found.get(name, KeyLimits()), key.own)
    return found
