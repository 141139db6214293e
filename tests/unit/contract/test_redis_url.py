"""Every URL by which a Redis can be named, and the ones that are refused with the remedy and without the password."""

from traceback import format_exception

import pytest
from pydantic import SecretStr

from chatfleet_contract.redis_url import Credentials, Host, RedisAddress, Topology, read_redis_url


def address(topology: Topology, *hosts: Host, service: str = "", database: int = 0, **rest: object) -> RedisAddress:
    given = {"credentials": Credentials(), "sentinel_credentials": Credentials(), "tls": {}, **rest}
    return RedisAddress(topology, hosts, service, database, **given)  # type: ignore[arg-type]


TLS = {"ssl": True, "ssl_check_hostname": True}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://redis", address("single", Host("redis", 6379))),
        (" redis://redis:1234/5\n", address("single", Host("redis", 1234), database=5)),
        ("redis://[::1]:1234/", address("single", Host("::1", 1234))),
        (
            "redis://:p%40ss%2F@redis",
            address("single", Host("redis", 6379), credentials=Credentials(password=SecretStr("p@ss/"))),
        ),
        ("redis://u:p@redis", address("single", Host("redis", 6379), credentials=Credentials("u", SecretStr("p")))),
        ("rediss://redis", address("single", Host("redis", 6379), tls=TLS)),
        (
            "rediss://redis?ssl_ca_certs=/ca.pem&ssl_check_hostname=no",
            address(
                "single",
                Host("redis", 6379),
                tls={"ssl": True, "ssl_check_hostname": False, "ssl_ca_certs": "/ca.pem"},
            ),
        ),
        (
            "redis+sentinel://:p@a,b:1/main/2?sentinel_password=s",
            address(
                "sentinel",
                Host("a", 26379),
                Host("b", 1),
                service="main",
                database=2,
                credentials=Credentials(password=SecretStr("p")),
                sentinel_credentials=Credentials(password=SecretStr("s")),
            ),
        ),
        ("redis+cluster://a:1,b", address("cluster", Host("a", 1), Host("b", 6379))),
        ("rediss+cluster://a", address("cluster", Host("a", 6379), tls=TLS)),
    ],
)
def test_a_url_is_read(url: str, expected: RedisAddress) -> None:
    assert read_redis_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis",
        "redis://",
        "http://:secret@redis",
        "redis+magic://:secret@redis",
        "redis://:secret@redis/name",
        "redis://:secret@redis/0/1",
        "redis://:secret@redis:port",
        "redis://:secret@redis:99999",
        "redis://:secret@a,b",
        "redis://:secret@a,,b",
        "redis+sentinel://:secret@a",
        "redis+cluster://:secret@a/1",
        "redis://:secret@redis?socket_timeout=60",
        "redis://:secret@redis?ssl_ca_certs=/ca.pem",
        "rediss://:secret@redis?ssl_magic=1",
        "redis://:secret@[redis",
    ],
)
def test_what_is_no_url_of_a_redis_is_refused_without_a_word_of_the_password(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"the URL of Redis must be redis://\[user:password@\]host:port/database"
    ) as caught:
        read_redis_url(url)
    assert "secret" not in "".join(format_exception(caught.value))


def test_an_address_shows_no_password() -> None:
    shown = repr(read_redis_url("redis+sentinel://u:secret@a/main?sentinel_password=secret"))

    assert "secret" not in shown


@pytest.mark.parametrize(
    ("url", "bundle"),
    [("rediss://redis", "/bundle.pem"), ("rediss://redis?ssl_ca_certs=/ca.pem", "/ca.pem"), ("redis://redis", None)],
)
def test_the_ca_bundle_is_for_tls_and_the_url_takes_precedence(url: str, bundle: str | None) -> None:
    assert read_redis_url(url, "/bundle.pem").tls.get("ssl_ca_certs") == bundle
