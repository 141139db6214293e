"""Authentication: the API server on behalf of a user, a client certificate of the cluster, or a bearer token.

`X-Remote-User` counts only with a certificate of the front-proxy authority. The client authority does not suffice, as
any user of the cluster may have a certificate of it. Both authorities are in a ConfigMap that the API server maintains
for extension API servers.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from chatfleet_metrics.apiserver.ttl_cache import TTLCache
from chatfleet_metrics.apiserver.users import AUTHENTICATED, User
from chatfleet_operator.model.values import Manifest

CONFIG_NAMESPACE: Final = "kube-system"
CONFIG_NAME: Final = "extension-apiserver-authentication"

TOKEN_SECONDS: Final = 10.0
"""How long a revoked token is still accepted, as in the API server itself."""

_BEARER: Final = "bearer "

Authorities = tuple[x509.Certificate, ...]
Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Trust:
    """The authorities and headers by which clients are authenticated."""

    proxies: Authorities
    """Sign the certificates of front proxies, which act for users."""
    proxy_names: frozenset[str]
    """Common names that such a certificate may have; empty: any."""
    user_headers: tuple[str, ...]
    group_headers: tuple[str, ...]
    extra_prefixes: tuple[str, ...]
    uid_headers: tuple[str, ...]
    clients: Authorities
    """Sign the certificates of clients."""
    pem: str
    """All these authorities, for the TLS handshake."""


NO_TRUST: Final = Trust((), frozenset(), (), (), (), (), (), "")
"""Before the ConfigMap has been read: no client is authenticated."""


class Credentials(NamedTuple):
    """What a request is authenticated by."""

    certificate: x509.Certificate | None
    """The client's; the TLS handshake has proven that it has the key."""
    headers: Headers


def read_trust(config: Manifest) -> Trust:
    """Parse the API server's ConfigMap for extension API servers; raises ValueError."""
    data: dict[str, str] = config.get("data") or {}

    def names(key: str) -> tuple[str, ...]:
        return tuple(json.loads(data.get(f"requestheader-{key}", "[]")))

    def headers(key: str) -> tuple[str, ...]:
        return tuple(name.lower() for name in names(key))

    proxies, clients = (data.get(key, "").strip() for key in ("requestheader-client-ca-file", "client-ca-file"))
    return Trust(
        proxies=_certificates(proxies),
        proxy_names=frozenset(names("allowed-names")),
        user_headers=headers("username-headers"),
        group_headers=headers("group-headers"),
        extra_prefixes=headers("extra-headers-prefix"),
        uid_headers=headers("uid-headers"),
        clients=_certificates(clients),
        pem="\n".join(filter(None, (proxies, clients))),
    )


def _certificates(pem: str) -> Authorities:
    return tuple(x509.load_pem_x509_certificates(pem.encode())) if pem else ()


def authenticate_certificate(trust: Trust, credentials: Credentials, now: datetime) -> User | None:
    """Return the user of a request with a client certificate; None when the certificate does not authenticate one."""
    certificate = credentials.certificate
    if certificate is None or not _is_valid(certificate, now):
        return None
    if _is_signed(certificate, trust.proxies, now) and _is_allowed(certificate, trust.proxy_names):
        return _user_in_headers(trust, credentials.headers)
    if _is_signed(certificate, trust.clients, now):
        return _user_in_certificate(certificate)
    return None


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_signed(certificate: x509.Certificate, authorities: Authorities, now: datetime) -> bool:
    """Return whether a valid one of `authorities` has itself signed `certificate`; intermediates do not count.

    The handshake has verified the chain to any of the authorities; here it matters to which. Several may have the same
    key: a renewed authority beside the expired one.
    """
    return any(_is_valid(authority, now) and _has_signed(authority, certificate) for authority in authorities)


def _has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_allowed(certificate: x509.Certificate, names: frozenset[str]) -> bool:
    return not names or bool(names & set(_subject(certificate, NameOID.COMMON_NAME)))


def _subject(certificate: x509.Certificate, part: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(each.value) for each in certificate.subject.get_attributes_for_oid(part))


def _user_in_certificate(certificate: x509.Certificate) -> User | None:
    names = _subject(certificate, NameOID.COMMON_NAME)
    groups = _subject(certificate, NameOID.ORGANIZATION_NAME)
    return User(names[0], frozenset(groups) | {AUTHENTICATED}) if names else None


def _user_in_headers(trust: Trust, headers: Headers) -> User | None:
    given = [(name.lower(), value) for name, value in headers]

    def values(wanted: tuple[str, ...]) -> list[str]:
        return [value for name in wanted for found, value in given if found == name and value]

    users = values(trust.user_headers)
    if not users:
        return None
    groups = frozenset(values(trust.group_headers)) | {AUTHENTICATED}
    uids = values(trust.uid_headers)
    return User(users[0], groups, tuple(sorted(_extra(trust.extra_prefixes, given))), uids[0] if uids else "")


def _extra(prefixes: tuple[str, ...], given: list[tuple[str, str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    found: dict[str, list[str]] = {}
    for name, value in given:
        for prefix in prefixes:
            if name.startswith(prefix):
                found.setdefault(unquote(name[len(prefix) :]), []).append(value)
    return ((key, tuple(values)) for key, values in found.items())


class Reviewer(Protocol):
    """The part of the API server that reviews tokens."""

    async def write(self, method: str, kind: str, namespace: str, *, body: Manifest) -> Manifest:
        """Create the review and return it with its status."""
        ...


class TokenAuthenticator:
    """Bearer tokens, reviewed by the API server (TokenReview), with a cache."""

    def __init__(self, reviewer: Reviewer, cache: TTLCache[bytes, User]) -> None:
        self._reviewer = reviewer
        self._cache = cache

    async def authenticate(self, headers: Headers) -> User | None:
        """Return the user of a request's bearer token; None without a valid one. Raises ClusterError."""
        given = [value for name, value in headers if name.lower() == "authorization"]
        if len(given) != 1 or not given[0].lower().startswith(_BEARER):
            return None
        token = given[0][len(_BEARER) :].strip()
        key = hashlib.sha256(token.encode()).digest()  # the cache holds no usable token
        known = self._cache.get(key)
        if known:
            return known
        user = await self._review(token)
        return self._cache.put(key, user, TOKEN_SECONDS) if user else None

    async def _review(self, token: str) -> User | None:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = await self._reviewer.write("POST", "TokenReview", "", body=body)
        status = answer.get("status") or {}
        user = status.get("user") or {}
        if status.get("authenticated") is not True or not user.get("username"):
            return None
        extra = tuple(sorted((key, tuple(values)) for key, values in (user.get("extra") or {}).items()))
        return User(user["username"], frozenset(user.get("groups") or ()) | {AUTHENTICATED}, extra, user.get("uid", ""))
