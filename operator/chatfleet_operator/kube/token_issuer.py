"""Who signs the tokens of ServiceAccounts: from the issuer discovery of the API server."""

import json
from collections.abc import Callable
from typing import Final

from chatfleet_operator.kube.connection import JSON, Connection
from chatfleet_operator.model.token_issuer import TokenIssuer

KEPT_SECONDS: Final = 30.0
"""For how long one answer is used, for all ChatDeployments."""
DISCOVERY: Final = "/.well-known/openid-configuration"
KEYS: Final = "/openid/v1/jwks"
"""At the API server itself: the `jwks_uri` of discovery may be a server elsewhere."""
MEMBERS: Final = frozenset({"kty", "kid", "alg", "use", "n", "e", "crv", "x", "y"})


class DiscoveredIssuer:
    """Reads issuer and keys now and then."""

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._known: TokenIssuer | None = None
        self._read = 0.0

    async def current(self) -> TokenIssuer:
        """Return what the API server publishes; raises `errors.ClusterError`."""
        if self._known is None or self._clock() - self._read >= KEPT_SECONDS:
            began = self._clock()
            found = await self._connection.document(DISCOVERY, JSON)
            keys = await self._connection.document(KEYS, "application/jwk-set+json")
            self._known, self._read = TokenIssuer(str(found.get("issuer", "")), canonical(keys)), began
        return self._known


def canonical(document: dict[str, object]) -> str:
    """Return a JWKS in one form, so that equal keys are the same text."""
    listed = document.get("keys")
    keys = (
        [{k: v for k, v in each.items() if k in MEMBERS} for each in listed if isinstance(each, dict)]
        if isinstance(listed, list)
        else []
    )
    return json.dumps({"keys": sorted(keys, key=lambda key: str(key.get("kid")))}, sort_keys=True)
