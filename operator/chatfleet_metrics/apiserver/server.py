"""The handling of a request: authenticate, authorize, respond. A step that fails responds with a Status."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiohttp import web
from cryptography import x509

from chatfleet_metrics.apiserver import api
from chatfleet_metrics.apiserver.api import MetricSource, Now, StatusError
from chatfleet_metrics.apiserver.authentication import Credentials, TokenAuthenticator, Trust, authenticate_certificate
from chatfleet_metrics.apiserver.authorization import Authorization
from chatfleet_metrics.apiserver.users import User, request_attributes
from chatfleet_operator.model.errors import ClusterError
from chatfleet_operator.model.values import Manifest

logger = logging.getLogger(__name__)


class Metrics(Protocol):
    def responded(self, status: int) -> None:
        """Count a response."""
        ...


@dataclass(slots=True)
class MetricsAPI:
    source: MetricSource
    tokens: TokenAuthenticator
    authorization: Authorization
    trust: Callable[[], Trust]
    now: Callable[[], datetime]
    metrics: Metrics

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            status, document = 200, await self._respond(request)
        except StatusError as error:
            status, document = error.status, error.document()
        except ClusterError as error:
            logger.warning("Failed to authenticate or authorize a request: %s", error)
            unavailable = StatusError(
                503, "ServiceUnavailable", "the server is currently unable to authenticate or authorize the request"
            )
            status, document = unavailable.status, unavailable.document()
        self.metrics.responded(status)
        return web.json_response(document, status=status)

    async def _respond(self, request: web.Request) -> Manifest:
        user = await self._authenticate(request)
        if user is None:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        if request.method != "GET":
            raise StatusError(
                405,
                "MethodNotAllowed",
                "the server does not allow this method; metrics are read-only",
            )
        if not await self.authorization.allows(user, request_attributes(request.path)):
            raise StatusError(403, "Forbidden", f'User "{user.name}" cannot get path "{request.path}"')
        now = Now(asyncio.get_running_loop().time(), self.now())
        return api.respond(request.path, request.query, self.source, now)

    async def _authenticate(self, request: web.Request) -> User | None:
        headers = list(request.headers.items())
        credentials = Credentials(_certificate(request), headers)
        return authenticate_certificate(self.trust(), credentials, self.now()) or await self.tokens.authenticate(
            headers
        )


def _certificate(request: web.Request) -> x509.Certificate | None:
    connection = request.get_extra_info("ssl_object")
    der = connection.getpeercert(binary_form=True) if connection else None
    return x509.load_der_x509_certificate(der) if der else None
