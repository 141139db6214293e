"""Our certificates: when they are renewed, and that no client gets one that it cannot verify."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from chatfleet_cluster.certificates import Authority, Identity
from chatfleet_metrics.apiserver.certificates import Certificates, dump, issue, load, renewed
from chatfleet_metrics.apiserver.tls import ServerTLS

START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
HOST = "chatfleet-metrics-apiserver.chatfleet-system.svc"
DAY = timedelta(days=1)


def signer(held: Certificates) -> x509.Certificate:
    """Return the authority that has signed what is served."""
    for authority in held.authorities:
        if authority.certificate.subject == held.serving.certificate.issuer:
            held.serving.certificate.verify_directly_issued_by(authority.certificate)
            return authority.certificate
    raise AssertionError("signed by nobody that is published")


def life(days: int) -> Iterator[tuple[datetime, Certificates]]:
    """Look every day for so many days."""
    held = renewed(None, HOST, START)
    for day in range(days):
        held = renewed(held, HOST, START + day * DAY)
        yield START + day * DAY, held


def test_what_is_not_due_stays_as_it_is() -> None:
    held = renewed(None, HOST, START)
    assert renewed(held, HOST, START + 59 * DAY) is held


def test_a_certificate_is_renewed_a_month_before_its_end_by_the_same_authority() -> None:
    held = renewed(None, HOST, START)
    later = renewed(held, HOST, START + 60 * DAY)
    assert later.serving != held.serving
    assert later.authorities == held.authorities


def test_another_name_asks_for_another_certificate() -> None:
    held = renewed(None, HOST, START)
    assert renewed(held, "other.svc", START).serving != held.serving


def test_over_twenty_years_all_that_is_served_was_published_before_and_is_valid() -> None:
    published: dict[int, datetime] = {}
    authorities = set()
    for now, held in life(20 * 365):
        for authority in held.authorities:
            published.setdefault(authority.certificate.serial_number, now)
        by = signer(held)
        authorities.add(by.serial_number)
        assert held.serving.certificate.not_valid_before_utc <= now
        assert held.serving.certificate.not_valid_after_utc - now > 29 * DAY
        assert by.not_valid_after_utc - now > 29 * DAY
        assert now == START or len(held.authorities) <= 2
    assert len(authorities) == 3


def test_a_new_authority_signs_an_hour_after_it_is_published() -> None:
    held = renewed(None, HOST, START)
    now = START + 3650 * DAY - 365 * DAY
    published = renewed(held, HOST, now)
    assert len(published.authorities) == 2
    assert signer(published) == held.authorities[0].certificate
    assert renewed(published, HOST, now + timedelta(minutes=59)) is published
    assert signer(renewed(published, HOST, now + timedelta(hours=1))) == published.authorities[1].certificate


def test_a_secret_holds_it_all() -> None:
    held = renewed(renewed(None, HOST, START), HOST, START + 3300 * DAY)
    assert len(held.authorities) == 2
    loaded = load(dump(held))
    assert loaded
    assert dump(loaded) == dump(held)


@pytest.mark.parametrize("broken", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
@pytest.mark.parametrize("content", [None, "", "bm9uc2Vuc2U="])
def test_a_secret_that_cannot_be_read_is_filled_anew(broken: str, content: str | None) -> None:
    data = dump(renewed(None, HOST, START))
    data.pop(broken)
    assert load(data if content is None else {**data, broken: content}) is None


@pytest.mark.parametrize("part", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
def test_a_key_of_another_certificate_is_no_key(part: str) -> None:
    data, other = (dump(renewed(None, HOST, START)) for _ in range(2))
    assert load({**data, part: other[part]}) is None


def test_a_certificate_for_no_name_is_made_anew() -> None:
    data = dump(renewed(None, HOST, START))
    assert load({**data, "tls.crt": data["ca.crt"], "tls.key": data["ca.key"]}) is None


class Wire:
    """A TLS connection without a network."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(down, up, server_hostname=HOST)
        self.server = server.wrap_bio(up, down, server_side=True)

    def shake(self) -> None:
        """Shake hands to the end; raises what either side objects to."""
        for _ in range(4):
            for side in (self.client, self.server):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue

    def shown(self) -> x509.Certificate | None:
        """Return the certificate by which the server knows the client."""
        shown = self.server.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown) if shown else None


NOW = datetime.now(UTC)
CLIENTS = Authority.create("clients", NOW)


def pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(serialization.Encoding.PEM).decode()


def client(held: Certificates, folder: Path, authority: Authority | None = None) -> ssl.SSLContext:
    """Return a caller that knows our authorities, with a certificate if an authority is given."""
    context = ssl.create_default_context(cadata=held.bundle().decode())
    if authority:
        (folder / "pair").write_bytes(b"".join(authority.issue(Identity("ann"), NOW)))
        context.load_cert_chain(folder / "pair")
    return context


def test_a_renewed_certificate_serves_from_the_next_handshake_on(tmp_path: Path) -> None:
    held, tls = renewed(None, HOST, NOW), ServerTLS()
    tls.load(held, pem(CLIENTS))
    caller = client(held, tmp_path)
    for serving in (held.serving, issue(held.authorities[0], HOST, NOW)):
        tls.load(Certificates(held.authorities, serving), pem(CLIENTS))
        wire = Wire(tls.context, caller)
        wire.shake()
        shown = wire.client.getpeercert(binary_form=True)
        assert shown == serving.certificate.public_bytes(serialization.Encoding.DER)
        assert wire.shown() is None


def test_callers_are_known_by_the_authorities_of_now_alone(tmp_path: Path) -> None:
    held, tls, other = renewed(None, HOST, NOW), ServerTLS(), Authority.create("other", NOW)
    tls.load(held, pem(CLIENTS))
    wire = Wire(tls.context, client(held, tmp_path, CLIENTS))
    wire.shake()
    shown = wire.shown()
    assert shown
    assert "ann" in shown.subject.rfc4514_string()
    tls.load(held, pem(other))
    with pytest.raises(ssl.SSLError, match=r"unable to get local issuer|signature failure"):
        Wire(tls.context, client(held, tmp_path, CLIENTS)).shake()
    Wire(tls.context, client(held, tmp_path, other)).shake()


def test_before_anything_is_known_nobody_is_served(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError):
        Wire(ServerTLS().context, client(renewed(None, HOST, NOW), tmp_path)).shake()
