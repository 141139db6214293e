"""A request's way: who asks, may they, what is the answer. Each step may end it, with a Status that says why."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aiohttp import web
from cryptography import x509

from chatfleet_metrics.apiserver import api
from chatfleet_metrics.apiserver.api import Figures, Moment, Problem
from chatfleet_metrics.apiserver.authentication import Credentials, Tokens, Trust, by_certificate
from chatfleet_metrics.apiserver.authorization import Authorization
from chatfleet_metrics.apiserver.users import User, action
from chatfleet_operator.model.errors import ClusterError
from chatfleet_operator.model.values import Manifest

logger = logging.getLogger(__name__)


class Watch(Protocol):
    """Where requests are counted."""

    def answered(self, status: int) -> None:
        """Count a request that was answered."""
        ...


@dataclass(slots=True)
class Api:
    """The API as it is served."""

    figures: Figures
    tokens: Tokens
    authorization: Authorization
    trust: Callable[[], Trust]
    now: Callable[[], datetime]
    watch: Watch

    def app(self) -> web.Application:
        """Return the application behind the port of the API."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            status, document = 200, await self._answer(request)
        except Problem as problem:
            status, document = problem.status, problem.document()
        except ClusterError as error:
            logger.warning("a request cannot be judged: %s", error)
            unsure = Problem(503, "ServiceUnavailable", "the API server does not say who asks or what they may do")
            status, document = unsure.status, unsure.document()
        self.watch.answered(status)
        return web.json_response(document, status=status)

    async def _answer(self, request: web.Request) -> Manifest:
        user = await self._identify(request)
        if user is None:
            raise Problem(401, "Unauthorized", "no valid certificate and no valid token")
        if request.method != "GET":
            raise Problem(405, "MethodNotAllowed", "metrics can only be read")
        if not await self.authorization.allows(user, action(request.path)):
            raise Problem(403, "Forbidden", f'User "{user.name}" cannot get path "{request.path}"')
        moment = Moment(asyncio.get_running_loop().time(), self.now())
        return api.answer(request.path, request.query, self.figures, moment)

    async def _identify(self, request: web.Request) -> User | None:
        headers = list(request.headers.items())
        credentials = Credentials(_certificate(request), headers)
        return by_certificate(self.trust(), credentials, self.now()) or await self.tokens.bearer(headers)


def _certificate(request: web.Request) -> x509.Certificate | None:
    connection = request.get_extra_info("ssl_object")
    shown = connection.getpeercert(binary_form=True) if connection else None
    return x509.load_der_x509_certificate(shown) if shown else None
