"""The TLS of the adapter's port, whose certificate and authorities change while it serves."""

import ssl
import tempfile
from pathlib import Path
from typing import Final

from chatfleet_metrics.apiserver.certificates import Certificates

_SERVER: Final = ssl.PROTOCOL_TLS_SERVER


class Tls:
    """Handshakes with what is valid now; connections that are open go on with what they began with.

    A context takes on further authorities but never forgets one, so each change makes a new one, and each handshake
    picks the newest.
    """

    def __init__(self) -> None:
        self._newest: ssl.SSLContext | None = None
        self._made_of: tuple[str, bytes] | None = None
        self.context = ssl.SSLContext(_SERVER)
        self.context.verify_mode = ssl.CERT_OPTIONAL  # a bearer of a token has none; holds for all handshakes
        self.context.sni_callback = self._choose

    def use(self, held: Certificates, authorities: str) -> None:
        """Serve with `held` from the next handshake on, and know callers by `authorities` (in PEM)."""
        certificate, key = held.serving.pem()
        if self._made_of == (authorities, certificate):
            return
        newest = ssl.SSLContext(_SERVER)
        if authorities:  # else a token is the only way in
            newest.load_verify_locations(cadata=authorities)
        with tempfile.NamedTemporaryFile() as file:  # the ssl module reads certificates from files only
            Path(file.name).write_bytes(certificate + key)
            newest.load_cert_chain(file.name)
        self._newest, self._made_of = newest, (authorities, certificate)

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        if self._newest is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._newest
        return None
