"""Signatures of tokens: JWK and JWS by joserfc, which is imported with the first issuer (docs/decisions/0522)."""

import asyncio
import binascii
from base64 import urlsafe_b64decode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec
from typing_extensions import override

if TYPE_CHECKING:
    from joserfc.jwk import Key
    from joserfc.jws import JWSRegistry

MAX_TOKEN_BYTES: Final = 8192
MAX_KEYS: Final = 64
"""Of one issuer."""
MIN_RSA_BITS: Final = 2048
_PARTS: Final = 3
_CURVES: Final = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("Ed25519", "EdDSA")}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

Claims: TypeAlias = dict[str, Any]
"""The claims of a token, whose types its issuer decides."""


class InvalidTokenError(Exception):
    """A token that is not valid. Clients do not learn why."""


class InvalidKeysError(ValueError):
    """The keys of an issuer cannot be used; the message has the reason."""


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None


class _Issued(msgspec.Struct, frozen=True):
    iss: str


class _Set(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Unverified(NamedTuple):
    """What a token has about itself, before anything of it is proven."""

    issuer: str
    algorithm: str
    key_id: str | None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies signatures."""

    key: "Key"
    algorithms: tuple[str, ...]
    """Which it can verify."""
    thumbprint: str


class KeySet:
    """The keys of an issuer at one time."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = tuple(keys)
        self.thumbprints = frozenset(key.thumbprint for key in self._keys)

    def find(self, token: Unverified) -> PublicKey | None:
        """Return the key of a token. One that names none has the only key that fits it."""
        fitting = [key for key in self._keys if token.algorithm in key.algorithms]
        if token.key_id is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.key.kid == token.key_id), None)


async def load() -> None:
    """Import joserfc without blocking the event loop: that takes 0.2 s."""
    await asyncio.to_thread(_registry)


def peek(token: bytes) -> Unverified | None:
    """Return what a token has about itself; None: it is no token that is signed."""
    parts = token.split(b".")
    if len(parts) != _PARTS or len(token) > MAX_TOKEN_BYTES:
        return None
    try:
        header = msgspec.json.decode(_decoded(parts[0]), type=_Header)
        issued = msgspec.json.decode(_decoded(parts[1]), type=_Issued)
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError, RecursionError):
        return None
    return Unverified(issued.iss, header.alg, header.kid)


def parse_keys(document: bytes) -> KeySet:
    """Return the keys of a JWKS document that verify signatures; raise `InvalidKeysError` if it is none."""
    try:
        listed = msgspec.json.decode(document, type=_Set).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InvalidKeysError("the document of its keys is no JWKS") from None
    usable = KeySet(key for each in listed[:MAX_KEYS] if (key := _public_key(each)) is not None)
    if not usable.thumbprints:
        raise InvalidKeysError("its JWKS has no key that verifies signatures")
    return usable


def verified(token: bytes, key: PublicKey, algorithms: Collection[str]) -> Claims:
    """Return the claims of a token that `key` has signed; raise `InvalidTokenError`."""
    from joserfc import jwt  # noqa: PLC0415  # only with tokens
    from joserfc.errors import JoseError  # noqa: PLC0415  # only with tokens

    try:
        return jwt.decode(token, key.key, registry=_registry()(algorithms=algorithms, strict_check_header=False)).claims
    except (JoseError, ValueError, RecursionError) as error:
        raise InvalidTokenError(str(error)) from None


def require_claims(claims: Claims, now: float, *, issuer: str, audience: str, skew_seconds: int) -> None:
    """Raise `InvalidTokenError` for a token of another issuer, for another audience, or of another time."""
    from joserfc.errors import JoseError  # noqa: PLC0415  # only with tokens
    from joserfc.jwt import JWTClaimsRegistry  # noqa: PLC0415  # only with tokens

    registry = JWTClaimsRegistry(
        now=int(now),
        leeway=skew_seconds,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )
    try:
        registry.validate(claims)
    except JoseError as error:
        raise InvalidTokenError(str(error)) from None


def _decoded(part: bytes) -> bytes:
    return urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _public_key(fields: dict[str, Any]) -> PublicKey | None:
    """Return a key of a JWKS; None: it is for something else, or too weak."""
    from joserfc.errors import JoseError  # noqa: PLC0415  # only with tokens
    from joserfc.jwk import import_key  # noqa: PLC0415  # only with tokens

    named, kind = fields.get("alg"), fields.get("kty")
    known = _RSA if kind == "RSA" else _CURVES.get(str(fields.get("crv")), ())
    fitting = tuple(each for each in known if named in (None, each))
    if fields.get("use") not in (None, "sig") or kind not in ("RSA", "EC", "OKP") or not fitting:
        return None
    public = {name: value for name, value in fields.items() if name in {"kty", "kid", "alg", "n", "e", "crv", "x", "y"}}
    try:
        if kind == "RSA" and int.from_bytes(_decoded(str(fields.get("n")).encode())).bit_length() < MIN_RSA_BITS:
            return None
        key = import_key(public)
        return PublicKey(key, fitting, key.thumbprint())
    except (JoseError, ValueError, TypeError):
        return None


@cache
def _registry() -> type["JWSRegistry"]:
    from joserfc import jwk, jwt  # noqa: F401, PLC0415  # only with tokens
    from joserfc.errors import UnsupportedAlgorithmError  # noqa: PLC0415  # only with tokens
    from joserfc.jws import JWSRegistry  # noqa: PLC0415  # only with tokens

    class Registry(JWSRegistry):
        """Algorithms that were named, and no others; EdDSA, the former name of Ed25519, without a warning."""

        max_header_length = 4096

        @override
        def get_alg(self, name: str) -> Any:  # a class that joserfc does not export
            if name not in (self.allowed or ()):
                raise UnsupportedAlgorithmError(name)
            return self.algorithms[name]

    return Registry
