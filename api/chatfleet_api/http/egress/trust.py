"""Whose certificates are accepted: those of the system's CAs, and of the CA bundle of the resource."""

import ssl
from functools import cache
from pathlib import Path


class TrustError(OSError):
    """The CA bundle cannot be used; the message has the file and the remedy."""


class Trust:
    """The TLS context of one dialer. A bundle is read again when its file changes."""

    def __init__(self, bundle: Path | None = None) -> None:
        self._bundle = bundle
        self._seen: tuple[int, int, int] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection; raises `TrustError`."""
        if self._bundle is None:
            return tls_context()
        try:
            status = self._bundle.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._context is None or seen != self._seen:
                self._context, self._seen = _context(self._bundle), seen
        except OSError as error:  # ssl.SSLError too
            reason = "has no certificate in PEM" if isinstance(error, ssl.SSLError) else "cannot be read"
            raise TrustError(f"the CA bundle {self._bundle} {reason}; correct egress.caBundleRef") from error
        return self._context


@cache
def tls_context() -> ssl.SSLContext:
    """Return a context with the CAs of the system, or of `SSL_CERT_FILE`. Read at first use, which takes 30 ms."""
    return _context(None)


def _context(bundle: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if bundle is not None:
        context.load_verify_locations(cafile=bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context
