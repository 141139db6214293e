"""One count for every request, and one line of log for those that are wanted, when the answer has ended.

Never content, never a query.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatfleet_api.domain.live import Live
from chatfleet_api.web.state import known_principal, request_id
from chatfleet_contract.names import PATH_HEALTH, PATH_LIVE, PATH_METRICS, PATH_READY, PATH_STARTUP
from chatfleet_contract.spec import AccessLines

logger = logging.getLogger("chatfleet_api.access")

QUIET: Final = frozenset({PATH_LIVE, PATH_READY, PATH_STARTUP, PATH_HEALTH, PATH_METRICS})
"""Paths that probes and scrapers request all day long: logged at level debug."""
_FIRST_ERROR: Final = 400
CLIENT_CLOSED_REQUEST: Final = 499
"""Logged for a caller that left before its answer began (nginx' number)."""


class RequestMeter(Protocol):
    """Counts requests. `route` is the path's template, or `unmatched`."""

    def answered(self, route: str, status: int) -> None:
        """Count a request that was answered."""
        ...

    def asked(self, tenant: str) -> None:
        """Count a request of a verified caller."""
        ...


class AccessLog:
    """Also the last resort for uncaught exceptions: they are logged with the request's id, and go no further."""

    def __init__(
        self, app: ASGIApp, *, meter: RequestMeter, clock: Callable[[], float], lines: Live[AccessLines]
    ) -> None:
        """Write the `lines` that are wanted."""
        self._app = app
        self._lines = lines
        self._meter = meter
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        status = CLIENT_CLOSED_REQUEST

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:  # the edge of a request
            logger.exception("Request failed", extra={"request_id": request_id(scope)})
        finally:
            self._meter.answered(getattr(scope.get("route"), "path", "unmatched"), status)
            caller = known_principal(scope)
            if caller is not None and caller.subject is not None:
                self._meter.asked(caller.tenant)
            if _is_wanted(self._lines(), status):
                logger.log(
                    logging.DEBUG if scope["path"] in QUIET else logging.INFO,
                    "%s %s %d",
                    scope["method"],
                    scope["raw_path"].decode("ascii", "replace"),  # as it was sent: no line of ours can be forged by it
                    status,
                    extra={"request_id": request_id(scope), "milliseconds": round((self._clock() - began) * 1000, 1)},
                )


def _is_wanted(lines: AccessLines, status: int) -> bool:
    return lines is AccessLines.ALL or (lines is AccessLines.ERRORS and status >= _FIRST_ERROR)
