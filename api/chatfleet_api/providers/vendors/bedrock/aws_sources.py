"""Where a pod gets credentials of AWS: a role that the resource names; else in the order of AWS's SDKs.

The environment has keys (`AWS_ACCESS_KEY_ID`), or what AWS's webhooks write there: the file with a token of the
ServiceAccount (IAM roles for service accounts), or the address of an agent on the node (EKS Pod Identity). Instance
profiles and files of profiles are not used.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

import msgspec

from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.hosts import Hosts
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.vendor import HTTPRequest
from chatfleet_api.providers.vendors.bedrock.aws_credentials import Credentials
from chatfleet_api.providers.vendors.bedrock.aws_role import SOUGHT, Role, assume_role, seconds_of
from chatfleet_api.providers.vendors.bedrock.regions import domain
from chatfleet_api.providers.workload_identity.endpoint import fetch, read_token, unusable
from chatfleet_contract.runtime import RuntimeWorkloadIdentity

_AGENTS: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "::1", "localhost"})
"""Hosts on the own node, the only ones that are requested without TLS."""
_TO_AGENTS: Final = Egress(allow=Hosts.of(_AGENTS))
_CONTAINER_HOST: Final = "http://169.254.170.2"
_SESSION: Final = "chatfleet"
_NONE: Final = (
    "no AWS credentials; set apiKeySecretRef, credentials.workloadIdentity, the environment variables AWS_ACCESS_KEY_ID"
    " and AWS_SECRET_ACCESS_KEY, or a role of the ServiceAccount"
)


class _Container(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: str


class AWSChain:
    """Fetches credentials from the first source that the environment names."""

    def __init__(
        self,
        environ: Mapping[str, str],
        connections: ConnectionPool,
        region: str,
        *,
        identity: RuntimeWorkloadIdentity | None = None,
    ) -> None:
        """A role of `identity` goes before what the environment names."""
        self._environ = environ
        self._identity = identity
        self._connections = connections
        self._region = region

    async def fetch(self) -> Credentials:
        """Return credentials; raise `ChatError` when there are none."""
        environ, identity = self._environ, self._identity
        if identity and identity.aws:
            return await self._role(identity.aws.role_arn, identity.token_file)
        key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            return Credentials(key, secret, environ.get("AWS_SESSION_TOKEN") or None)
        if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
            return await self._role(environ["AWS_ROLE_ARN"], environ["AWS_WEB_IDENTITY_TOKEN_FILE"])
        if environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") or environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            return await self._container()
        raise unusable(_NONE)

    async def _role(self, role_arn: str, token_file: str) -> Credentials:
        url = self._environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{self._region}.{domain(self._region)}/"
        session = self._environ.get("AWS_ROLE_SESSION_NAME") or _SESSION
        return await assume_role(self._connections, url, Role(role_arn, session, token_file))

    async def _container(self) -> Credentials:
        environ = self._environ
        relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        url = f"{_CONTAINER_HOST}{relative}" if relative else environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _AGENTS:
            raise unusable(f"AWS_CONTAINER_CREDENTIALS_FULL_URI has the host {parts.hostname}; use https")
        token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") or ""
        if path := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = read_token(path)
        headers = {"Accept": "application/json", **({"Authorization": token} if token else {})}
        request = HTTPRequest("GET", url, headers)
        if parts.hostname in _AGENTS:  # of the node, and so behind no proxy
            with closing(ConnectionPool(Dialer(_TO_AGENTS, Source.PLATFORM))) as connections:
                answer = await fetch(connections, request, SOUGHT)
        else:
            answer = await fetch(self._connections, request, SOUGHT)
        try:
            found = msgspec.json.decode(answer, type=_Container)
        except msgspec.MsgspecError as error:
            raise unusable(f"the credentials of the container cannot be parsed: {error}") from error
        return Credentials(found.access_key_id, found.secret_access_key, found.token, seconds_of(found.expiration))
