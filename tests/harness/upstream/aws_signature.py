"""AWS's Signature Version 4 from the side of a server: computed anew, by its specification and the standard library.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from urllib.parse import quote

from harness.upstream.fake import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/[^/]+/[^/]+/aws4_request), SignedHeaders=([^,]+), Signature=(\w{64})"
)


def signer_of(request: Request) -> tuple[str, str]:
    """Return the access key and the scope of a request's signature."""
    access_key, scope, *_ = _parts(request)
    return access_key, scope


def is_signed(request: Request, secret: str) -> bool:
    """Return whether the signature is that of `secret` for exactly this request."""
    _, scope, names, given = _parts(request)
    path, _, query = request.path.partition("?")
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names.split(";"))
    body = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join([request.method, quote(path, safe="/-_.~"), query, headers, names, body])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), given)


def _parts(request: Request) -> tuple[str, str, str, str]:
    found = _AUTHORIZATION.fullmatch(request.headers["authorization"])
    assert found is not None, request.headers["authorization"]
    access_key, scope, names, given = found.groups()
    return access_key, scope, names, given
