"""Who asks: the API server on behalf of a user, a user with a certificate of the cluster, or the bearer of a token.

Only a certificate of the authority that signs for the API server's proxy makes `X-Remote-User` true: the authority
of clients does not, as anybody in the cluster may hold a certificate of it. What these authorities are, and whom they
vouch for, stands in a ConfigMap that the API server keeps for its extensions.
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

from chatfleet_metrics.apiserver.ttl_cache import Recent
from chatfleet_metrics.apiserver.users import AUTHENTICATED, User
from chatfleet_operator.model.values import Manifest

CONFIG_NAMESPACE: Final = "kube-system"
CONFIG_NAME: Final = "extension-apiserver-authentication"

TOKEN_SECONDS: Final = 10.0
"""How long a token is believed after it was revoked, as in the API server itself."""

_BEARER: Final = "bearer "

Authorities = tuple[x509.Certificate, ...]
Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word counts."""

    proxies: Authorities
    """Sign the certificates of those who may speak for others."""
    proxy_names: frozenset[str]
    """Common names that such a certificate may bear; empty: any."""
    user_headers: tuple[str, ...]
    group_headers: tuple[str, ...]
    extra_prefixes: tuple[str, ...]
    uid_headers: tuple[str, ...]
    clients: Authorities
    """Sign the certificates of users."""
    pem: str
    """All these authorities, for the TLS handshake."""


NOBODY: Final = Trust((), frozenset(), (), (), (), (), (), "")
"""Before anything is known."""


class Credentials(NamedTuple):
    """What a request brings to say whom it comes from."""

    certificate: x509.Certificate | None
    """The caller's; the TLS handshake has proven that it has the key."""
    headers: Headers


def read_trust(config: Manifest) -> Trust:
    """Return what the API server's ConfigMap for its extensions says; raises ValueError when it cannot be read."""
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


def by_certificate(trust: Trust, given: Credentials, now: datetime) -> User | None:
    """Return whom the caller's certificate speaks for; None: for nobody."""
    certificate = given.certificate
    if certificate is None or not _is_valid(certificate, now):
        return None
    if _is_signed(certificate, trust.proxies, now) and _is_allowed(certificate, trust.proxy_names):
        return _vouched_for(trust, given.headers)
    if _is_signed(certificate, trust.clients, now):
        return _named_in(certificate)
    return None


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_signed(certificate: x509.Certificate, authorities: Authorities, now: datetime) -> bool:
    """Say whether a valid one of `authorities` has itself signed `certificate`; one in between would have to be one.

    The handshake has verified the chain already, but to any authority, and here it matters which. Several may have the
    same key: an authority that was renewed, beside the one whose time is over.
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


def _named_in(certificate: x509.Certificate) -> User | None:
    names = _subject(certificate, NameOID.COMMON_NAME)
    groups = _subject(certificate, NameOID.ORGANIZATION_NAME)
    return User(names[0], frozenset(groups) | {AUTHENTICATED}) if names else None


def _vouched_for(trust: Trust, headers: Headers) -> User | None:
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
    """The part of the API server that knows tokens."""

    async def write(self, method: str, kind: str, namespace: str, *, body: Manifest) -> Manifest:
        """Create an object and return it with the server's answer."""
        ...


class Tokens:
    """The bearers of tokens, as the API server knows them (TokenReview)."""

    def __init__(self, reviewer: Reviewer, recent: Recent[bytes, User]) -> None:
        self._reviewer = reviewer
        self._recent = recent

    async def bearer(self, headers: Headers) -> User | None:
        """Return whose token a request carries; None: nobody's. Raises ClusterError when nobody knows."""
        given = [value for name, value in headers if name.lower() == "authorization"]
        if len(given) != 1 or not given[0].lower().startswith(_BEARER):
            return None
        token = given[0][len(_BEARER) :].strip()
        key = hashlib.sha256(token.encode()).digest()  # of what is kept, nobody can use anything
        known = self._recent.get(key)
        if known:
            return known
        user = await self._review(token)
        return self._recent.put(key, user, TOKEN_SECONDS) if user else None

    async def _review(self, token: str) -> User | None:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = await self._reviewer.write("POST", "TokenReview", "", body=body)
        status = answer.get("status") or {}
        told = status.get("user") or {}
        if status.get("authenticated") is not True or not told.get("username"):
            return None
        extra = tuple(sorted((key, tuple(values)) for key, values in (told.get("extra") or {}).items()))
        return User(told["username"], frozenset(told.get("groups") or ()) | {AUTHENTICATED}, extra, told.get("uid", ""))
