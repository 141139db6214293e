"""Authenticates requests by an access token that a token of the ServiceAccount was exchanged for."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from pydantic import SecretStr

from chatfleet_api.providers.environment import Environment
from chatfleet_api.providers.renewed import Renewed
from chatfleet_api.providers.vendor import HTTPRequest
from chatfleet_api.providers.workload_identity.answers import AccessToken, access_token, words_of
from chatfleet_api.providers.workload_identity.endpoint import Sought, fetch, read_token
from chatfleet_api.providers.workload_identity.exchanges import ANTHROPIC_BETA, exchange_request
from chatfleet_contract.runtime import RuntimeProvider, RuntimeWorkloadIdentity

_BETA: Final = "anthropic-beta"
_SOUGHT: Final = Sought("an access token", "correct credentials.workloadIdentity, or the trust there", words_of)


class TokenAuthentication:
    """Authenticates the requests of one provider."""

    rejected_by = frozenset({HTTPStatus.UNAUTHORIZED})

    def __init__(
        self, provider: RuntimeProvider, identity: RuntimeWorkloadIdentity, environment: Environment, *, root: str
    ) -> None:
        """`root` is that of the provider's API."""
        self._identity = identity
        self._environment = environment
        self._root = root
        name = f"No access token for provider {provider.name}"
        self._token = Renewed(self._exchange, environment.wall_clock, environment.rand, name=name)

    async def headers(self, key: SecretStr | None, request: HTTPRequest) -> Mapping[str, str]:  # noqa: ARG002  # no key
        """Return the headers that authenticate `request`; raise `ChatError` when there is no access token."""
        token = await self._token.get()
        headers = {"Authorization": f"Bearer {token.value}"}
        if self._identity.anthropic:
            present = request.headers.get(_BETA, "")
            headers[_BETA] = f"{present},{ANTHROPIC_BETA}" if present else ANTHROPIC_BETA
        return headers

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the secrets that no message may have."""
        return self._token.secrets

    @property
    def failure(self) -> str | None:
        """Return why the last exchange failed; None: it did not."""
        return self._token.failure

    def reject(self) -> None:
        """Exchange again before the next request."""
        self._token.reject()

    async def _exchange(self) -> AccessToken:
        subject = read_token(self._identity.token_file)
        request = exchange_request(self._identity, subject, root=self._root)
        answer = await fetch(self._environment.connections, request, _SOUGHT, hidden=(subject,))
        return access_token(answer, self._environment.wall_clock())
