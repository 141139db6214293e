"""Credentials of AWS for signatures."""

from typing import NamedTuple


class Credentials(NamedTuple):
    """A key pair that signs requests."""

    access_key: str
    secret_key: str
    token: str | None = None
    """Goes with keys that expire."""
    expires: float = float("inf")
    """Unix seconds."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what no message may have."""
        return (self.secret_key, *((self.token,) if self.token else ()))
