"""Our own certificate authorities and serving certificate, issued and renewed here, shared by all replicas in a Secret.

A renewal fails no request, as the API server knows an authority before a certificate of it is served:

- a new authority is published (`ca.crt` holds all of them) an hour before it begins to sign;
- authorities are valid for ten years and get a successor a year before they expire; certificates are valid for 90 days
  and are renewed 30 days before they expire, or when another authority has begun to sign.

`renewed` is pure but for the keys that it generates. Replicas write with the Secret's resourceVersion: one of them
is first, and the other loads what it wrote.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chatfleet_contract.names import METRICS_APISERVER
from chatfleet_operator.model.values import Manifest, Ref

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
AUTHORITY_RENEW_BEFORE: Final = timedelta(days=365)
LIFETIME: Final = timedelta(days=90)
RENEW_BEFORE: Final = timedelta(days=30)
PROPAGATION: Final = timedelta(hours=1)
"""Time from publishing an authority to its first signature; replicas and API servers refresh within seconds."""

CLOCK_SKEW: Final = timedelta(hours=1)
"""A certificate is valid from this long before it is issued."""

_KEYS: Final = ("ca.crt", "ca.key", "tls.crt", "tls.key")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def issued_at(self) -> datetime:
        return self.certificate.not_valid_before_utc + CLOCK_SKEW

    def expires_within(self, span: timedelta, now: datetime) -> bool:
        return self.certificate.not_valid_after_utc - now <= span

    def pem(self) -> tuple[bytes, bytes]:
        """Return the certificate and the key in PEM."""
        form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key = self.key.private_bytes(serialization.Encoding.PEM, form, encryption)
        return self.certificate.public_bytes(serialization.Encoding.PEM), key


@dataclass(frozen=True, slots=True)
class Certificates:
    """The content of the Secret."""

    authorities: tuple[KeyPair, ...]
    """Oldest first."""
    serving: KeyPair

    def bundle(self) -> bytes:
        """Return the authorities by which the API server verifies us, in PEM."""
        return b"".join(authority.pem()[0] for authority in self.authorities)


def renewed(held: Certificates | None, host: str, now: datetime) -> Certificates:
    """Return what the Secret should hold now: `held` itself if nothing is due."""
    kept = tuple(each for each in held.authorities if not each.expires_within(timedelta(0), now)) if held else ()
    authorities = (
        kept if kept and not kept[-1].expires_within(AUTHORITY_RENEW_BEFORE, now) else (*kept, _authority(now))
    )
    signer = _signer(authorities, now)
    serving = held.serving if held and not _is_due(held.serving, signer, host, now) else issue(signer, host, now)
    if held and (held.authorities, held.serving) == (authorities, serving):
        return held
    return Certificates(authorities, serving)


def _signer(authorities: tuple[KeyPair, ...], now: datetime) -> KeyPair:
    """Return the newest authority that has been published for long enough; if there is none, the oldest."""
    known = [each for each in authorities if now - each.issued_at >= PROPAGATION]
    return known[-1] if known else authorities[0]


def _is_due(serving: KeyPair, signer: KeyPair, host: str, now: datetime) -> bool:
    names = serving.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    signed = serving.certificate.issuer == signer.certificate.subject
    return serving.expires_within(RENEW_BEFORE, now) or not signed or names.get_values_for_type(x509.DNSName) != [host]


def _authority(now: datetime) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own distinguishes an authority from its successor.
    name = _name(f"{METRICS_APISERVER}-{x509.random_serial_number():x}"[:64])
    builder = _builder((name, name), key, now, AUTHORITY_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return KeyPair(builder.add_extension(_usage(signs=True), critical=True).sign(key, hashes.SHA256()), key)


def issue(signer: KeyPair, host: str, now: datetime) -> KeyPair:
    """Return a new serving certificate for `host`."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder((_name(METRICS_APISERVER), signer.certificate.subject), key, now, LIFETIME)
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([x509.DNSName(host)]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return KeyPair(builder.sign(signer.key, hashes.SHA256()), key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    names: tuple[x509.Name, x509.Name], key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    """Return a builder with what all certificates share; `names` are the subject and the issuer."""
    subject, issuer = names
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - CLOCK_SKEW).not_valid_after(now + life)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def dump(held: Certificates) -> dict[str, str]:
    """Return the data of a Secret."""
    authorities = [authority.pem() for authority in held.authorities]
    parts = (*(b"".join(each) for each in zip(*authorities, strict=True)), *held.serving.pem())
    return {key: base64.b64encode(part).decode() for key, part in zip(_KEYS, parts, strict=True)}


def load(data: dict[str, str]) -> Certificates | None:
    """Parse the data of a Secret; None when it is unusable and everything must be issued again."""
    try:
        ca, ca_key, crt, key = (base64.b64decode(data[name]) for name in _KEYS)
        (serving,) = _key_pairs(crt, key)
        serving.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return Certificates(_key_pairs(ca, ca_key), serving)
    except (KeyError, ValueError, x509.ExtensionNotFound):
        return None


def _key_pairs(certificates: bytes, keys: bytes) -> tuple[KeyPair, ...]:
    pairs = zip(x509.load_pem_x509_certificates(certificates), _private_keys(keys), strict=True)
    held = tuple(KeyPair(*each) for each in pairs)
    if any(each.certificate.public_key() != each.key.public_key() for each in held):
        raise ValueError("a private key does not match its certificate")
    return held


def _private_keys(pem: bytes) -> list[ec.EllipticCurvePrivateKey]:
    end = b"-----END PRIVATE KEY-----\n"
    keys = [serialization.load_pem_private_key(part + end, None) for part in pem.split(end)[:-1]]
    if not all(isinstance(key, ec.EllipticCurvePrivateKey) for key in keys):
        raise ValueError("a private key is not an elliptic curve key")
    return [key for key in keys if isinstance(key, ec.EllipticCurvePrivateKey)]


class SecretStore(Protocol):
    """The part of the API server that stores the Secret."""

    async def read(self, kind: str, namespace: str, *rest: str) -> Manifest: ...

    async def write(self, method: str, kind: str, namespace: str, *rest: str, body: Manifest) -> Manifest:
        """Replace an object, if it still has the resourceVersion of `body`."""
        ...


async def ensure(store: SecretStore, secret: Ref, host: str, now: Callable[[], datetime]) -> Certificates:
    """Return the certificates, after renewing what is due; raises Conflict when another replica was first."""
    live = await store.read("Secret", *secret)
    held = load(live.get("data") or {})
    wanted = renewed(held, host, now().astimezone(UTC).replace(microsecond=0))
    if wanted is not held:
        await store.write("PUT", "Secret", *secret, body={**live, "data": dump(wanted)})
    return wanted
