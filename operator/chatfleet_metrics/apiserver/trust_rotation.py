"""The loop that keeps trust current: whom we trust, the certificate we serve with, and our registration."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chatfleet_metrics.apiserver import certificates
from chatfleet_metrics.apiserver.authentication import CONFIG_NAME, CONFIG_NAMESPACE, NO_TRUST, Trust, read_trust
from chatfleet_metrics.apiserver.tls import ServerTLS
from chatfleet_operator.kube import Connection
from chatfleet_operator.model.errors import ClusterError
from chatfleet_operator.model.values import Ref

INTERVAL_SECONDS: Final = 15.0
"""Between two refreshes. Each is five small reads, and no write while nothing changes."""

RETRY_SECONDS: Final = 2.0
"""Before the next refresh after a failure."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class TrustRotation:
    """Refreshes trust, certificates and registration. A failed refresh changes nothing."""

    connection: Connection
    secret: Ref
    host: str
    """Our host name as the API server uses it."""
    register: Callable[[bytes], Awaitable[None]]
    """Registers us, with the authorities by which the API server verifies us, as soon as we are ready."""
    now: Callable[[], datetime]
    tls: ServerTLS
    trust: Trust = NO_TRUST
    _failure: str = ""

    @property
    def is_loaded(self) -> bool:
        """Whether handshakes can succeed and users be authenticated."""
        return self.trust is not NO_TRUST

    async def run(self, ready: Callable[[], bool]) -> None:
        """Refresh until cancelled."""
        while True:
            settled, failure = False, ""
            try:
                bundle = await self.refresh()
                if ready():
                    await self.register(bundle)
                    settled = True
            except (ClusterError, ValueError, OSError) as error:  # OSError: of TLS too
                failure = str(error)
            self._log(failure)
            await asyncio.sleep(INTERVAL_SECONDS if settled else RETRY_SECONDS)

    def _log(self, failure: str) -> None:
        """Log a failure when it begins, not with every refresh."""
        if failure and failure != self._failure:
            logger.warning("Failed to refresh trust and registration; the current ones stay in use: %s", failure)
        self._failure = failure

    async def refresh(self) -> bytes:
        """Load what is valid now, and return our own authorities; raises ClusterError, ValueError and OSError."""
        trust = read_trust(await self.connection.read("ConfigMap", CONFIG_NAMESPACE, CONFIG_NAME))
        held = await certificates.ensure(self.connection, self.secret, self.host, self.now)
        self.tls.load(held, trust.pem)
        self.trust = trust
        return held.bundle()
