"""Who signs the tokens of ServiceAccounts."""

from typing import NamedTuple


class TokenIssuer(NamedTuple):
    """Who signs the tokens of ServiceAccounts in this cluster."""

    issuer: str
    keys: str
    """The public keys, as a JWKS document."""
