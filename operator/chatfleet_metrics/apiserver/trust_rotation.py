"""What changes slowly and must be right: whom to trust, with what to serve, and that the API server finds us."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chatfleet_metrics.apiserver import certificates
from chatfleet_metrics.apiserver.authentication import CONFIG_NAME, CONFIG_NAMESPACE, NOBODY, Trust, read_trust
from chatfleet_metrics.apiserver.tls import Tls
from chatfleet_operator.kube import Connection
from chatfleet_operator.model.errors import ClusterError
from chatfleet_operator.model.values import Ref

PAUSE_SECONDS: Final = 15.0
"""Between two looks. Each is five small reads, and no write at rest."""

RETRY_SECONDS: Final = 2.0
"""Before another look while something is not as it should be."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Upkeep:
    """Looks after it all, again and again. Whatever fails leaves everything as it was."""

    connection: Connection
    secret: Ref
    host: str
    """Name that the API server calls us by."""
    register: Callable[[bytes], Awaitable[None]]
    """Told of the authorities by which the API server is to know us, once we are ready."""
    now: Callable[[], datetime]
    tls: Tls
    trust: Trust = NOBODY
    _trouble: str = ""

    @property
    def is_done(self) -> bool:
        """Whether a handshake can succeed and a caller be known."""
        return self.trust is not NOBODY

    async def run(self, ready: Callable[[], bool]) -> None:
        """Look after it all for ever."""
        while True:
            settled, trouble = False, ""
            try:
                bundle = await self.look()
                if ready():
                    await self.register(bundle)
                    settled = True
            except (ClusterError, ValueError, OSError) as error:  # OSError: of TLS too
                trouble = str(error)
            self._tell(trouble)
            await asyncio.sleep(PAUSE_SECONDS if settled else RETRY_SECONDS)

    def _tell(self, trouble: str) -> None:
        """Log trouble when it begins, not with every look."""
        if trouble and trouble != self._trouble:
            logger.warning("everything stays as it is: %s", trouble)
        self._trouble = trouble

    async def look(self) -> bytes:
        """Take over what is valid now, and return our own authorities; raises ClusterError, ValueError and OSError."""
        trust = read_trust(await self.connection.read("ConfigMap", CONFIG_NAMESPACE, CONFIG_NAME))
        held = await certificates.keep(self.connection, self.secret, self.host, self.now)
        self.tls.use(held, trust.pem)
        self.trust = trust
        return held.bundle()
