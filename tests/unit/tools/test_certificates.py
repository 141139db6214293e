"""Who can prove what in a cluster."""

import stat
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chatfleet_cluster.certificates import Identity, write_pki

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CLIENT = Identity("system:node:n", "system:nodes")
SERVER = Identity("server", "", ("kubernetes.default.svc",), (IPv4Address("198.51.100.2"),))


@pytest.fixture(name="pki")
def _pki(tmp_path: Path) -> Path:
    write_pki(tmp_path, [("client", CLIENT), ("server", SERVER)], NOW)
    return tmp_path


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_certificate_names_user_and_group_and_is_signed_by_the_authority(pki: Path) -> None:
    client = load(pki / "client.crt")

    client.verify_directly_issued_by(load(pki / "ca.crt"))
    assert client.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:n"
    assert client.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"
    assert usages(client) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_server_is_known_by_its_names_and_addresses(pki: Path) -> None:
    server = load(pki / "server.crt")
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["kubernetes.default.svc"]
    assert names.get_values_for_type(x509.IPAddress) == [IPv4Address("198.51.100.2")]
    assert ExtendedKeyUsageOID.SERVER_AUTH in usages(server)


def test_only_the_front_proxy_can_vouch_for_users(pki: Path) -> None:
    authority = load(pki / "front-proxy-ca.crt")

    load(pki / "front-proxy.crt").verify_directly_issued_by(authority)
    with pytest.raises((ValueError, InvalidSignature)):
        load(pki / "client.crt").verify_directly_issued_by(authority)


def test_a_certificate_is_good_from_an_hour_ago_for_a_year(pki: Path) -> None:
    client = load(pki / "client.crt")

    assert client.not_valid_before_utc == datetime(2026, 1, 1, 23, tzinfo=UTC)
    assert client.not_valid_after_utc == datetime(2027, 1, 2, tzinfo=UTC)


def test_nobody_else_reads_a_private_key(pki: Path) -> None:
    keys = list(pki.glob("*.key"))

    assert {"client.key", "server.key", "front-proxy.key", "service-accounts.key"} == {key.name for key in keys}
    assert {0o600} == {stat.S_IMODE(key.stat().st_mode) for key in keys}


def test_the_authorities_keys_are_kept_nowhere(pki: Path) -> None:
    assert not list(pki.glob("*ca.key"))
