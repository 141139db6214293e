"""Opens the admin port while the configuration names an administrator, and closes it when it names none."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp

from chatfleet_api.domain.live import Live
from chatfleet_api.server.http_server import AddressTakenError, SideServer, listen

POLL_SECONDS: Final = 1.0
"""Time between two looks at the configuration."""

logger = logging.getLogger(__name__)


class AdminPort:
    """A server on the main loop: its routes work with the runs and stores of that loop. See decision 0544."""

    def __init__(self, app: Callable[[], ASGIApp], wanted: Live[bool], *, host: str, port: int, setting: str) -> None:
        """Serve what `app` returns while it is `wanted`; `setting` is the variable that sets the port."""
        self._app = app
        self._wanted = wanted
        self._address = host, port
        self._setting = setting
        self._problem = ""

    async def run(self) -> None:
        """Follow the configuration until cancelled."""
        while True:
            if self._wanted():
                await self._serve()
            await asyncio.sleep(POLL_SECONDS)

    async def _serve(self) -> None:
        """Serve until it is no longer wanted. A port that is in use is tried again."""
        try:
            listener = listen(*self._address, setting=self._setting)
        except AddressTakenError as error:
            self._report(str(error))
            return
        self._report("")
        logger.info("The admin port is open")
        server = SideServer(self._app())
        serving = asyncio.ensure_future(server.serve([listener]))
        try:
            while self._wanted() and not serving.done():
                await asyncio.wait([serving], timeout=POLL_SECONDS)
        finally:
            server.close()
            await serving
            logger.info("The admin port is closed")

    def _report(self, problem: str) -> None:
        if problem and problem != self._problem:
            logger.error("The admin port is not open: %s", problem)
        self._problem = problem
