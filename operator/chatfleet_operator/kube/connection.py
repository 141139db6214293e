"""One connection to the API server: requests in, JSON objects or our own few errors out."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTResponse
from pydantic import BaseModel, SecretStr, ValidationError

from chatfleet_contract import names
from chatfleet_operator.children.kinds import KINDS
from chatfleet_operator.model.errors import Refused, Retry
from chatfleet_operator.model.values import Manifest

REQUEST_SECONDS: Final = 10.0
"""Timeout of a request. With a longer one, an object would wait longer for a server that does not answer."""

CONNECTIONS: Final = 32
"""Limit of concurrent requests, so that a thousand objects in the queue do not open a thousand connections."""

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"

ETCD_ERRORS: Final = ("etcdserver:", "rpc error:")
"""How messages begin that are about etcd and not about the request."""


class Location(NamedTuple):
    """Where objects of a kind are."""

    prefix: str
    plural: str


LOCATIONS: Final[Mapping[str, Location]] = {
    **{kind.name: Location(kind.prefix, kind.plural) for kind in KINDS},
    names.KIND: Location(f"apis/{names.API_VERSION}", names.PLURAL),
    "APIService": Location("apis/apiregistration.k8s.io/v1", "apiservices"),
    "Event": Location("apis/events.k8s.io/v1", "events"),
    "Lease": Location("apis/coordination.k8s.io/v1", "leases"),
    "ClusterRole": Location("apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "SubjectAccessReview": Location("apis/authorization.k8s.io/v1", "subjectaccessreviews"),
    "TokenReview": Location("apis/authentication.k8s.io/v1", "tokenreviews"),
}
"""The children's (`children/kinds.py`), and what else the processes read and write."""


def path(kind: str, namespace: str, *rest: str) -> str:
    """Return the path of a collection, or of what `rest` names in it; `namespace` empty: of the whole cluster.

    Names come from people, so they are quoted. Raises `Refused` for one that would lead to another path: quoting does
    not change `.` and `..`, which clients resolve as folders, and an empty name would be that of the collection.
    """
    prefix, plural = LOCATIONS[kind]
    place = ("namespaces", namespace) if namespace else ()
    for part in rest:
        if part in {"", ".", ".."}:
            raise Refused(f'"{part}" is not the name of a {kind}; correct the name')
    return "/".join(["", prefix, *(quote(part, safe="") for part in (*place, plural, *rest))])


class NotFound(Retry):
    """There is no such object, or no such kind."""


class Conflict(Retry):
    """Another client was first: read again."""


class _Cause(BaseModel):
    field: str = ""


class _Details(BaseModel):
    causes: tuple[_Cause, ...] = ()


class _Status(BaseModel):
    """The body of a failure (metav1.Status)."""

    message: str = ""
    details: _Details | None = None

    def is_about_successor(self) -> bool:
        """Whether the object has another uid than the requested one: it is a successor of the same name."""
        return any(cause.field == "metadata.uid" for cause in (self.details.causes if self.details else ()))


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server, for another client in this process."""

    server: str
    ca_file: str | None
    ca_data: str | None
    certificate_file: str | None
    key_file: str | None
    token: SecretStr | None
    insecure: bool


class Connection:
    """Requests to the API server, each bounded in time, with failures as `errors.Retry` or `errors.Refused`."""

    def __init__(
        self, client: ApiClient, wrote: Callable[[str, str], None], may_write: Callable[[], bool] = lambda: True
    ) -> None:
        """`wrote(verb, kind)` is called after each accepted write; `may_write` is checked before each."""
        self._client = client
        self._wrote = wrote
        self._may_write = may_write

    def leader_only(self, may_write: Callable[[], bool]) -> "Connection":
        """Return this connection with writes only while `may_write` returns True."""
        return Connection(self._client, self._wrote, may_write)

    async def read(self, kind: str, namespace: str, *rest: str, query: Mapping[str, str] | None = None) -> Manifest:
        """Return one object, or the list when `rest` names none."""
        return await self._call("GET", path(kind, namespace, *rest), query or {}, None, JSON)

    async def write(  # noqa: PLR0913  # a request has this many parts
        self,
        method: str,
        kind: str,
        namespace: str,
        *rest: str,
        body: Manifest | list[Manifest],
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Manifest:
        """Write `body` and return the object as it then is."""
        if not self._may_write():
            raise Retry("this operator is no longer the leader")
        answer = await self._call(method, path(kind, namespace, *rest), query or {}, body, content_type)
        self._wrote(method.lower(), "/".join((kind, *rest[1:])))
        return answer

    async def document(self, path: str, media_type: str) -> Manifest:
        """Return a document that is no object of a resource."""
        return await self._call("GET", path, {}, None, media_type)

    async def serves(self, prefix: str, plural: str) -> bool:
        """Whether the API server has a resource, such as ours after its CRD is installed."""
        try:
            found = await self._call("GET", f"/{prefix}", {}, None, JSON)
        except NotFound:
            return False
        return any(resource.get("name") == plural for resource in found.get("resources") or [])

    async def access(self) -> Access:
        """Return how this connection reaches the server, with a token that is valid now."""
        known = self._client.configuration
        header = await known.get_api_key_with_prefix("BearerToken", alias="authorization")
        return Access(
            server=known.host,
            ca_file=known.ssl_ca_cert,
            ca_data=known.ca_cert_data,
            certificate_file=known.cert_file,
            key_file=known.key_file,
            token=SecretStr(header.split(" ", 1)[-1]) if header else None,
            insecure=not known.verify_ssl,
        )

    async def watch(self, kind: str, query: Mapping[str, str], seconds: int) -> AsyncIterator[Manifest]:
        """Yield the events of one watch over the whole cluster, which the server ends after `seconds`."""
        parameters = {**query, "watch": "true", "timeoutSeconds": str(seconds)}
        with _as_retry():
            response = await self._send("GET", path(kind, ""), parameters, timeout=seconds + REQUEST_SECONDS)
            async with response.response:
                while line := await response.response.content.readline():
                    yield json.loads(line)

    async def _call(
        self,
        method: str,
        url: str,
        query: Mapping[str, str],
        body: Manifest | list[Manifest] | None,
        content_type: str,
    ) -> Manifest:
        with _as_retry():
            response = await self._send(method, url, query, body, content_type)
            answer: Manifest = json.loads(await response.read())  # type: ignore[no-untyped-call]
            return answer

    async def _send(  # noqa: PLR0913  # a request has this many parts
        self,
        method: str,
        url: str,
        query: Mapping[str, str],
        body: Manifest | list[Manifest] | None = None,
        content_type: str = JSON,
        *,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109  # the library's own
    ) -> RESTResponse:
        request = await self._client.param_serialize(
            method,
            url,
            query_params=list(query.items()),
            header_params={"Accept": content_type if method == "GET" else JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(*request, _request_timeout=timeout)
        if response.status >= 400:  # noqa: PLR2004  # the border of HTTP's errors
            text: bytes = await response.read()  # type: ignore[no-untyped-call]
            raise translate(response.status, text, method, response.headers.get("Retry-After"))
        return response


@contextmanager
def _as_retry() -> Iterator[None]:
    """Turn failures of the network, and of what stands before the API server, into `Retry`."""
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Retry(f"the response is not JSON, and not the API server's: {error}") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Retry(f"no response from the API server: {str(error) or type(error).__name__}") from error


def translate(status: int, body: bytes, method: str, retry_after: str | None) -> Refused | Retry:
    """Return the error for a response: the only place where an HTTP status gets a meaning.

    A write that failed in the server (500: a webhook that does not answer, an unknown field) is refused like any other,
    so that a condition reports it. A read is retried, and so is a write that only etcd could not do in time.
    """
    status_body = _read(body)
    message = status_body.message or f"HTTP {status}"
    if status == 404:  # noqa: PLR2004
        return NotFound(message)
    if status == 409 or status_body.is_about_successor():  # noqa: PLR2004
        return Conflict(message)
    after = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
    transient = method == "GET" or message.startswith(ETCD_ERRORS)
    if status in {401, 429, 502, 503, 504} or (status >= 500 and transient):  # noqa: PLR2004
        return Retry(message, after)
    return Refused(message)


def _read(body: bytes) -> _Status:
    try:
        return _Status.model_validate_json(body)
    except ValidationError:
        return _Status(message=body.decode(errors="replace"))


@asynccontextmanager
async def connect(environ: Mapping[str, str], wrote: Callable[[str, str], None]) -> AsyncIterator[Connection]:
    """Open a connection: by the file in KUBECONFIG, else as the pod's service account, else by ~/.kube/config."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    try:
        await _configure(configuration, environ)
    except config.ConfigException as error:
        raise Refused(f"no configuration for a cluster: {error}") from error
    async with ApiClient(configuration) as client:
        client.user_agent = "chatfleet-operator"
        yield Connection(client, wrote)


async def _configure(configuration: Configuration, environ: Mapping[str, str]) -> None:
    file = environ.get("KUBECONFIG")
    if not file and environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(config_file=file, client_configuration=configuration)  # type: ignore[no-untyped-call]
