"""The URL of a Redis, for every topology. Pure."""

from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

FORMS: Final = (
    "redis://[user:password@]host:port/database, "
    "redis+sentinel://[user:password@]host:port,host:port/service/database or "
    "redis+cluster://[user:password@]host:port,host:port; with rediss in place of redis for TLS, which takes "
    "?ssl_ca_certs=file, ssl_certfile, ssl_keyfile, ssl_cert_reqs and ssl_check_hostname; for sentinels with "
    "authentication, ?sentinel_username and ?sentinel_password"
)
Topology: TypeAlias = Literal["single", "sentinel", "cluster"]
_TOPOLOGIES: Final[dict[str, tuple[Topology, int]]] = {
    "": ("single", 6379),
    "sentinel": ("sentinel", 26379),
    "cluster": ("cluster", 6379),
}
"""Of each suffix of the scheme the topology and its default port."""
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


class Host(NamedTuple):
    """A server, or a sentinel."""

    name: str
    port: int


class Credentials(NamedTuple):
    """A user and a password, each empty when not given."""

    username: str = ""
    password: SecretStr = SecretStr("")

    def arguments(self) -> dict[str, str]:
        """Return the client's arguments, those that are given."""
        given = {"username": self.username, "password": self.password.get_secret_value()}
        return {key: value for key, value in given.items() if value}


class RedisAddress(NamedTuple):
    """The servers of a Redis, and the credentials for them."""

    topology: Topology
    hosts: tuple[Host, ...]
    service: str
    """Name under which the sentinels know the servers; else empty."""
    database: int
    credentials: Credentials
    sentinel_credentials: Credentials
    tls: dict[str, str | bool]
    """Arguments of the client, empty without TLS."""


def read_redis_url(url: str, ca_bundle: str | None = None) -> RedisAddress:
    """Read a URL in one of `FORMS`; with TLS, `ca_bundle` is trusted too unless the URL names CAs of its own.

    Raises:
        ValueError: the URL is not valid; the message has the forms, and never the URL with its password.
    """
    try:
        parts = urlsplit(url.strip())
        base, _, suffix = parts.scheme.partition("+")
        topology, port = _TOPOLOGIES[suffix]
        user, _, hosts = parts.netloc.rpartition("@")
        service, database = _path(topology, parts.path)
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        address = RedisAddress(
            topology,
            tuple(_host(host, port) for host in hosts.split(",")),
            service,
            database,
            _credentials(*map(unquote, user.partition(":")[::2])),
            _credentials(*(query.pop(option, "") for option in _SENTINEL_OPTIONS)),
            _tls(base, query, ca_bundle),
        )
    except (ValueError, KeyError):
        raise ValueError(f"the URL of Redis must be {FORMS}") from None
    if topology == "single" and len(address.hosts) > 1:
        raise ValueError(f"several hosts need a topology: the URL of Redis must be {FORMS}")
    return address


def _path(topology: Topology, path: str) -> tuple[str, int]:
    parts = [unquote(part) for part in path.split("/") if part]
    service = parts.pop(0) if topology == "sentinel" and parts else ""
    (database,) = parts or ["0"]
    if (topology == "sentinel") != bool(service) or (topology == "cluster" and int(database)):
        raise ValueError
    return service, int(database)


def _host(text: str, port: int) -> Host:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or not parts.hostname.isascii():
        raise ValueError
    return Host(parts.hostname, parts.port or port)


def _credentials(username: str, password: str) -> Credentials:
    return Credentials(username, SecretStr(password))


def _tls(base: str, query: dict[str, str], ca_bundle: str | None) -> dict[str, str | bool]:
    if base not in ("redis", "rediss") or not set(query) <= set(_TLS_OPTIONS if base == "rediss" else ()):
        raise ValueError
    if base == "redis":
        return {}
    check_host = query.pop("ssl_check_hostname", "true").lower() not in ("false", "0", "no")
    bundle = {"ssl_ca_certs": ca_bundle} if ca_bundle else {}
    return {"ssl": True, "ssl_check_hostname": check_host, **bundle, **query}
