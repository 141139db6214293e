"""TokenReview: whether the API server accepts a token now, requested with the token of the pod's own ServiceAccount."""

import asyncio
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.http.connection import BrokenError
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.hosts import NO_HOSTS, Hosts
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.identity.jose import InvalidTokenError
from chatfleet_contract.runtime import RuntimeReview

REVIEW_TIMEOUT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 2.0
"""After which a client sends its request again."""
PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
MAX_ANSWER_BYTES: Final = 262_144


class Review(Protocol):
    """Requests reviews of tokens."""

    problem: str
    """Why the last review failed; empty: it did not."""

    async def __call__(self, token: bytes, audience: str) -> None:
        """Return if the token is valid for `audience`.

        Raises:
            InvalidTokenError: it is not.
            ChatError: the API server does not answer (`IDENTITY_UNAVAILABLE`).
        """
        ...


class _Status(msgspec.Struct, frozen=True):
    authenticated: bool = False
    audiences: tuple[str, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    status: _Status = _Status()


class TokenReview:
    """`Review` by the API server of the cluster."""

    def __init__(self, settings: RuntimeReview, *, allow: Hosts = NO_HOSTS) -> None:
        """`allow`: hosts that need permission, such as an API server on this machine."""
        self._settings = settings
        self._egress = Egress(allow=allow, ca_bundle=Path(settings.ca_file))
        self.problem = ""

    async def __call__(self, token: bytes, audience: str) -> None:
        try:
            status, body = await self._ask(token, audience)
            answer = msgspec.json.decode(body, type=_Answer).status if status == HTTPStatus.CREATED else None
        except (OSError, BrokenError, ValueError) as error:  # msgspec's too
            raise self._unanswered(str(error) or type(error).__name__) from None
        if answer is None:
            hint = (
                "; give its ServiceAccount the right to create tokenreviews" if status == HTTPStatus.FORBIDDEN else ""
            )
            raise self._unanswered(f"HTTP {status}{hint}")
        self.problem = ""
        if not answer.authenticated or audience not in answer.audiences:
            raise InvalidTokenError("the API server does not accept it")

    async def _ask(self, token: bytes, audience: str) -> tuple[int, bytes]:
        own = await asyncio.to_thread(Path(self._settings.token_file).read_text)
        uncached = f"review-{uuid4().hex}"  # the API server keeps an answer for 10 s, by token and audiences
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.decode("ascii"), "audiences": [audience, uncached]},
        }
        headers = {"Authorization": f"Bearer {own.strip()}", "Content-Type": "application/json"}
        with closing(ConnectionPool(Dialer(self._egress))) as connections:
            async with asyncio.timeout(REVIEW_TIMEOUT_SECONDS):
                url = f"{self._settings.url}{PATH}"
                response = await connections.request(
                    "POST", url, headers, msgspec.json.encode(body), connect_seconds=REVIEW_TIMEOUT_SECONDS
                )
                try:
                    read = b""
                    while (part := await response.read()) and len(read) < MAX_ANSWER_BYTES:
                        read += part
                finally:
                    response.close()
        return response.status, read

    def _unanswered(self, reason: str) -> ChatError:
        self.problem = f"the API server does not review tokens: {reason}"
        return ChatError(Code.IDENTITY_UNAVAILABLE, retry_after=RETRY_SECONDS, detail=reason)
