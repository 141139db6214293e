"""Where a pod gets credentials of AWS, in the order of AWS's SDKs: keys, a role by its ServiceAccount, its container.

The environment has the keys (`AWS_ACCESS_KEY_ID`), or what AWS's webhooks write there: the file with a token of the
ServiceAccount (IAM roles for service accounts), or the address of an agent on the node (EKS Pod Identity). Instance
profiles and files of profiles are not used.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from html import unescape
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.hosts import Hosts
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.upstream_client import read_body, translated
from chatfleet_api.providers.upstream_errors import MAX_BODY_BYTES, clean
from chatfleet_api.providers.vendor import HTTPRequest
from chatfleet_api.providers.vendors.bedrock.aws_credentials import Credentials
from chatfleet_api.providers.vendors.bedrock.regions import domain

FETCH_SECONDS: Final = 10.0
"""How long a fetch may take in all."""

_AGENTS: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "::1", "localhost"})
"""Hosts on the own node, the only ones that are requested without TLS."""
_TO_AGENTS: Final = Egress(allow=Hosts.of(_AGENTS))
_CONTAINER_HOST: Final = "http://169.254.170.2"
_SESSION: Final = "chatfleet"
_NONE: Final = (
    "no AWS credentials; set apiKeySecretRef, the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
    " or a role of the ServiceAccount"
)


class _Container(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: str


class AWSChain:
    """Fetches credentials from the first source that the environment names."""

    def __init__(self, environ: Mapping[str, str], connections: ConnectionPool, region: str) -> None:
        self._environ = environ
        self._connections = connections
        self._region = region

    async def fetch(self) -> Credentials:
        """Return credentials; raise `ChatError` when there are none."""
        environ = self._environ
        key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN") or None)
        if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
            return await self._web_identity()
        if environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") or environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            return await self._container()
        raise _unusable(_NONE)

    async def _web_identity(self) -> Credentials:
        environ = self._environ
        fields = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": environ["AWS_ROLE_ARN"],
            "RoleSessionName": environ.get("AWS_ROLE_SESSION_NAME") or _SESSION,
            "WebIdentityToken": _text_of(environ["AWS_WEB_IDENTITY_TOKEN_FILE"]),
        }
        url = environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{self._region}.{domain(self._region)}/"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await _ask(self._connections, HTTPRequest("POST", url, headers, urlencode(fields).encode()))
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        access, secret, token, expires = (_element(answer, name) for name in names)
        return Credentials(access, secret, token, _seconds(expires))

    async def _container(self) -> Credentials:
        environ = self._environ
        relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        url = f"{_CONTAINER_HOST}{relative}" if relative else environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _AGENTS:
            raise _unusable(f"AWS_CONTAINER_CREDENTIALS_FULL_URI has the host {parts.hostname}; use https")
        token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") or ""
        if path := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = _text_of(path)
        headers = {"Accept": "application/json", **({"Authorization": token} if token else {})}
        request = HTTPRequest("GET", url, headers)
        if parts.hostname in _AGENTS:  # of the node, and so behind no proxy
            with closing(ConnectionPool(Dialer(_TO_AGENTS, Source.PLATFORM))) as connections:
                answer = await _ask(connections, request)
        else:
            answer = await _ask(self._connections, request)
        try:
            found = msgspec.json.decode(answer, type=_Container)
        except msgspec.MsgspecError as error:
            raise _unusable(f"the credentials of the container cannot be parsed: {error}") from error
        return Credentials(found.access_key_id, found.secret_access_key, found.token, _seconds(found.expiration))


async def _ask(connections: ConnectionPool, request: HTTPRequest) -> bytes:
    """Return the body of a successful response."""
    method, url, headers, body = request
    with translated():
        async with asyncio.timeout(FETCH_SECONDS):
            response = await connections.request(method, url, headers, body, connect_seconds=FETCH_SECONDS)
            try:
                answer = await read_body(response, MAX_BODY_BYTES)
            finally:
                connections.release(response)
    if response.status == HTTPStatus.OK:
        return answer
    refused = f"{urlsplit(url).hostname} returned HTTP {response.status} for AWS credentials: {_shown(answer)}"
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=clean(refused))
    raise _unusable(refused)


def _text_of(path: str) -> str:
    """Return the text of a file that its writer replaces now and then."""
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(f"the token for AWS in {path} cannot be read") from error


def _element(document: bytes, name: str) -> str:
    """Return the text of an element of XML that has no further ones."""
    found = re.search(rf"<{name}>([^<]+)</{name}>", document.decode("utf-8", "replace"))
    if found is None:
        raise _unusable(f"the answer of AWS STS has no {name}")
    return unescape(found[1]).strip()


def _shown(document: bytes) -> str:
    text = document.decode("utf-8", "replace")
    found = re.search("<Message>([^<]+)</Message>", text)
    return unescape(found[1]) if found else text


def _seconds(date: str) -> float:
    try:
        return datetime.fromisoformat(date).timestamp()
    except ValueError as error:
        raise _unusable(f"the expiry of the AWS credentials is no date: {date}") from error


def _unusable(why: str) -> ChatError:
    return ChatError(Code.UPSTREAM_AUTHENTICATION, detail=clean(why))
