"""Signatures by Standard Webhooks (https://www.standardwebhooks.com), and the secrets in the files of a Secret."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

PREFIX: Final = "whsec_"
MIN_BYTES: Final = 24
MAX_BYTES: Final = 64
MAX_FILE_BYTES: Final = 4096


class NoSecretError(Exception):
    """There is no signing secret that can be used; its text is the reason, without a secret."""


def signed_headers(secrets: Sequence[bytes], event: str, seconds: int, body: bytes) -> Mapping[str, str]:
    """Return the headers of a request: one signature by each secret, so that any of them verifies it."""
    signed = b".".join((event.encode(), str(seconds).encode(), body))
    made = (base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets)
    return {
        "webhook-id": event,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in made),
    }


def read_secrets(folder: Path) -> Sequence[bytes]:
    """Return the signing secrets in the files of a mounted Secret, by name of their keys; raises `NoSecretError`.

    Those that are not valid are left out while there is another one.
    """
    secrets, wrong = [], []
    for path in sorted(each for each in _files(folder) if not each.name.startswith(".")):
        try:
            secrets.append(parse_secret(path.read_bytes()[:MAX_FILE_BYTES].decode()))
        except (OSError, ValueError):
            wrong.append(path.name)
    if secrets:
        return secrets
    if wrong:
        raise NoSecretError(f"Secret {folder.name}: key {wrong[0]} must be whsec_ and base64 of 24 to 64 bytes")
    raise NoSecretError(f"Secret {folder.name} does not exist, or is empty")


def parse_secret(text: str) -> bytes:
    """Return a signing secret; raises `ValueError`."""
    try:
        secret = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if not MIN_BYTES <= len(secret) <= MAX_BYTES:
        raise ValueError(f"{len(secret)} bytes")
    return secret


def _files(folder: Path) -> Sequence[Path]:
    try:
        return [*folder.iterdir()]
    except OSError:
        return []
