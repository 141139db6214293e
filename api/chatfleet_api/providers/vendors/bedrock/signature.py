"""AWS's Signature Version 4, made by awscrt, which is imported with the first request that is signed."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit

from chatfleet_api.providers.vendor import HTTPRequest
from chatfleet_api.providers.vendors.bedrock.aws_credentials import Credentials

LARGE_BYTES: Final = 1 << 18
"""Size from which a body is hashed in a thread: 256 KiB take 0.2 ms."""
_SIGNED: Final = frozenset({"content-type"})
"""Headers of a request that are signed, beside `Host` and those of AWS; others may be changed on the way."""


async def signed(
    credentials: Credentials, request: HTTPRequest, now: float, *, service: str, region: str
) -> Mapping[str, str]:
    """Return the headers with which `request` is authenticated at `now`, in Unix seconds."""
    if len(request.body) > LARGE_BYTES:
        return await asyncio.to_thread(signature, credentials, request, now, service=service, region=region)
    return signature(credentials, request, now, service=service, region=region)


async def load() -> None:
    """Import awscrt without blocking the event loop: that takes 0.1 s."""
    await asyncio.to_thread(_import)


def _import() -> None:
    import awscrt.auth  # type: ignore[import-untyped]  # noqa: PLC0415  # only with Bedrock
    import awscrt.http  # type: ignore[import-untyped]  # noqa: F401, PLC0415  # only with Bedrock


def signature(
    credentials: Credentials, request: HTTPRequest, now: float, *, service: str, region: str
) -> Mapping[str, str]:
    """Return the headers that authenticate `request`."""
    from awscrt import auth  # noqa: PLC0415  # only with Bedrock
    from awscrt.http import (  # noqa: PLC0415  # only with Bedrock
        HttpHeaders,
        HttpRequest,
    )

    parts = urlsplit(request.url)
    given = {name: value for name, value in request.headers.items() if name.lower() in _SIGNED} | {"Host": parts.netloc}
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    unsigned = HttpRequest(request.method, target, HttpHeaders(list(given.items())), BytesIO(request.body))
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=auth.AwsCredentialsProvider.new_static(
            credentials.access_key, credentials.secret_key, credentials.token
        ),
        region=region,
        service=service,
        date=datetime.fromtimestamp(now, UTC),
    )
    headers = auth.aws_sign_request(unsigned, config).result().headers
    return {name: value for name, value in headers if name not in given}
