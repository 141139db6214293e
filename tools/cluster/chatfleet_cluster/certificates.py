"""The keys and certificates of a cluster, for development only; they are deleted with the cluster."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """The subject of a certificate, and the names that it may serve (none: a client certificate only)."""

    user: str
    group: str = ""
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True)
class Authority:
    """A certificate authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, name: str, now: datetime) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(Identity(name))
        builder = _builder(subject, subject, key.public_key(), now)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    def issue(self, identity: Identity, now: datetime) -> tuple[bytes, bytes]:
        """Return a certificate for `identity` and its private key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(identity), self.certificate.subject, key.public_key(), now)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in identity.dns_names]
        names += [x509.IPAddress(address) for address in identity.addresses]
        if names:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(_key_usage(signs=False), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        return _pem(builder.sign(self.key, hashes.SHA256())), _key_pem(key)


def write_pki(folder: Path, identities: Iterable[tuple[str, Identity]], now: datetime) -> None:
    """Fill `folder` with the cluster's authority `ca`, a certificate per (file name, identity), and two more.

    `front-proxy-ca` signs only `front-proxy`, with which the API server authenticates to aggregated APIs: an
    authority of its own, so that no other certificate counts there. `service-accounts` is a bare key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority.create("chatfleet-cluster", now)
    front = Authority.create("chatfleet-front-proxy", now)
    for name, made in (("ca", authority), ("front-proxy-ca", front)):
        (folder / f"{name}.crt").write_bytes(_pem(made.certificate))
    for name, identity in identities:
        _write_pair(folder, name, authority.issue(identity, now))
    _write_pair(folder, "front-proxy", front.issue(Identity("front-proxy"), now))
    _write_secret(folder / "service-accounts.key", _key_pem(ec.generate_private_key(ec.SECP256R1())))


def _write_pair(folder: Path, name: str, pair: tuple[bytes, bytes]) -> None:
    (folder / f"{name}.crt").write_bytes(pair[0])
    _write_secret(folder / f"{name}.key", pair[1])


def _write_secret(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _name(identity: Identity) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, identity.user)]
    if identity.group:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
    return x509.Name(parts)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now.astimezone(UTC) - CLOCK_SKEW).not_valid_after(now.astimezone(UTC) + LIFETIME)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # Not PKCS 8, which the API server does not read as a key of service accounts.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
