"""Authentication of requests to Bedrock: an API key as bearer token, else a signature by AWS credentials."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from pydantic import SecretStr

from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.renewed import Renewed
from chatfleet_api.providers.vendor import HTTPRequest, bearer
from chatfleet_api.providers.vendors.bedrock.aws_sources import AWSChain
from chatfleet_api.providers.vendors.bedrock.signature import load, signed
from chatfleet_contract.runtime import RuntimeWorkloadIdentity


class AWSAuthentication:
    """Authenticates the requests of one provider."""

    rejected_by = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

    def __init__(
        self,
        environment: Environment,
        *,
        service: str,
        region: str,
        identity: RuntimeWorkloadIdentity | None = None,
    ) -> None:
        """Sign for `service` in `region`, by the role of `identity` or the credentials of the environment."""
        key = None if identity else environment.environ.get("AWS_BEARER_TOKEN_BEDROCK")
        self._environment_key = SecretStr(key) if key else None
        self._now: Callable[[], float] = environment.wall_clock
        chain = AWSChain(environment.environ, environment.connections, region, identity=identity)
        self._credentials = Renewed(chain.fetch, self._now, environment.rand, name="No AWS credentials were fetched")
        self._service = service
        self._region = region
        self._is_loaded = False

    async def headers(self, key: SecretStr | None, request: HTTPRequest) -> Mapping[str, str]:
        """Return the headers that authenticate `request`; raise `ChatError` when there are no credentials."""
        if bearer_key := key or self._environment_key:
            return bearer(bearer_key, request)
        credentials = await self._credentials.get()
        if not self._is_loaded:
            await load()
            self._is_loaded = True
        return await signed(credentials, request, self._now(), service=self._service, region=self._region)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the secrets that no message may have: AWS repeats what was signed when a signature is wrong."""
        key = self._environment_key
        return (*self._credentials.secrets, *((key.get_secret_value(),) if key else ()))

    @property
    def failure(self) -> str | None:
        """Return why the last fetch failed; None: it did not."""
        return self._credentials.failure

    def reject(self) -> None:
        """Fetch credentials again before the next request, because the upstream rejected these."""
        self._credentials.reject()
