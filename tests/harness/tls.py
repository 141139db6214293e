"""A server's certificate that is its own authority, and a port that encrypts for a handler."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.net import LOOPBACK


def certificate(folder: Path, *names: str) -> Path:
    """Return a file with a certificate for loopback and for `names`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    begins = datetime.now(UTC)
    valid: list[x509.GeneralName] = [x509.IPAddress(ip_address(LOOPBACK)), *map(x509.DNSName, names)]
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), begins, begins + timedelta(hours=1)
        )
        .add_extension(x509.SubjectAlternativeName(valid), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "upstream.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


@asynccontextmanager
async def encrypting(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], file: Path
) -> AsyncIterator[int]:
    """Serve connections with the certificate in `file`, and yield the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    async with await asyncio.start_server(serve, LOOPBACK, 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
