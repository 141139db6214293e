"""An issuer of tokens, with keys and a clock of the test's own."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry

from chatfleet_api.identity.jose import KeySet, parse_keys
from chatfleet_contract.spec.jwt import JWTIssuer

URL: Final = "https://login.example.com/realms/chat"
AUDIENCE: Final = "chat"
NOW: Final = datetime(2026, 1, 2, tzinfo=UTC)


@cache
def rsa_key(name: str) -> RSAKey:
    """Return a private key of this name; making one takes a while."""
    return RSAKey.generate_key(2048, {"kid": name}, private=True)


@cache
def ec_key(name: str, curve: str = "P-256") -> ECKey:
    return ECKey.generate_key(curve, {"kid": name}, private=True)


def jwks(*keys: Key) -> bytes:
    """Return the document that publishes `keys`."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


def sign(claims: dict[str, Any], key: Key, *, algorithm: str = "RS256", **header: Any) -> str:  # noqa: ANN401  # JSON
    """Return a token, whatever makes it invalid; a `kid` of None is left out."""
    fields = {"alg": algorithm, "kid": key.kid, **header}
    fields = {name: value for name, value in fields.items() if value is not None}
    signed = ".".join(encoded(json.dumps(each).encode()) for each in (fields, claims))
    return f"{signed}.{encoded(JWSRegistry.algorithms[algorithm].sign(signed.encode(), key))}"


def encoded(part: bytes) -> str:
    """Return a part of a token as it is sent."""
    return urlsafe_b64encode(part).rstrip(b"=").decode()


class Issuer:
    """Signs tokens with its newest key, and publishes those that it has."""

    def __init__(self, url: str = URL) -> None:
        self.url = url
        self.keys: list[Key] = [rsa_key("a")]
        self.failure: Exception | None = None
        self.fetches = 0

    def published(self) -> KeySet:
        """Return the public keys, or fail as a server that is away."""
        self.fetches += 1
        if self.failure is not None:
            raise self.failure
        return parse_keys(jwks(*self.keys))

    def claims(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
        """Return the claims of a valid token; one that is None is left out."""
        now = int(NOW.timestamp())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "tenant": "shop", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**usual, **changes}.items() if value is not None}

    def token(self, **changes: Any) -> str:  # noqa: ANN401  # JSON
        """Return a valid token, with other claims."""
        return sign(self.claims(**changes), self.keys[-1])

    def settings(self, **changes: Any) -> JWTIssuer:  # noqa: ANN401  # JSON
        """Return the item of `spec.access.jwt` that accepts it."""
        usual = {"issuer": self.url, "audience": AUDIENCE, "tenantClaim": "tenant"}
        return JWTIssuer.model_validate({**usual, **changes})


async def no_issuers(_: JWTIssuer) -> KeySet:
    """Stand for the issuers of a pod that has none."""
    raise OSError
