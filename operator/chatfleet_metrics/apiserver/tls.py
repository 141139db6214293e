"""TLS of the API's port, which takes over new certificates and authorities while it serves."""

import ssl
import tempfile
from pathlib import Path
from typing import Final

from chatfleet_metrics.apiserver.certificates import Certificates

_SERVER: Final = ssl.PROTOCOL_TLS_SERVER


class ServerTLS:
    """Each handshake uses the newest certificate and authorities; open connections keep theirs.

    An `SSLContext` can add authorities but not remove one, so each change makes a new context.
    """

    def __init__(self) -> None:
        self._newest: ssl.SSLContext | None = None
        self._loaded: tuple[str, bytes] | None = None
        self.expiry = 0.0
        """When the certificate that is served expires, in seconds since 1970 (UTC); 0: there is none yet."""
        self.context = ssl.SSLContext(_SERVER)
        self.context.verify_mode = ssl.CERT_OPTIONAL  # a client with a token has no certificate
        self.context.sni_callback = self._select_context

    def load(self, held: Certificates, authorities: str) -> None:
        """Serve with `held` from the next handshake on, and verify clients by `authorities` (PEM)."""
        certificate, key = held.serving.pem()
        if self._loaded == (authorities, certificate):
            return
        newest = ssl.SSLContext(_SERVER)
        if authorities:  # without any, only tokens authenticate
            newest.load_verify_locations(cadata=authorities)
        with tempfile.NamedTemporaryFile() as file:  # the ssl module reads certificates from files only
            Path(file.name).write_bytes(certificate + key)
            newest.load_cert_chain(file.name)
        self._newest, self._loaded = newest, (authorities, certificate)
        self.expiry = held.serving.certificate.not_valid_after_utc.timestamp()

    def _select_context(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        if self._newest is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._newest
        return None
