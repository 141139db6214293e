"""How PostgreSQL is connected to: any, behind a pooler in transaction mode, too."""

from typing import Any, Final

from psycopg import AsyncConnection, ProgrammingError
from psycopg.conninfo import conninfo_to_dict

CONNECT_SECONDS: Final = 5
SCHEMES: Final = ("postgresql://", "postgres://")


class PostgresURLError(ValueError):
    """The URL of PostgreSQL is not valid; the message has no part of it."""


def arguments_of(url: str) -> dict[str, Any]:
    """Return the arguments of a connection; raises `PostgresURLError`."""
    text = url.strip()
    if not text.startswith(SCHEMES):
        raise PostgresURLError("the URL of PostgreSQL does not begin with postgresql://")
    try:
        given = conninfo_to_dict(text)
    except ProgrammingError:
        raise PostgresURLError(
            "the URL of PostgreSQL is not valid; write postgresql://user:password@host/name"
        ) from None
    return {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "chatfleet",
        "keepalives_idle": 30,
        "tcp_user_timeout": 15_000,
        **given,
        "prepare_threshold": None,  # a pooler in transaction mode has another connection for each transaction
    }


async def connect(url: str) -> AsyncConnection[Any]:
    """Open one connection, in which statements stand alone unless a transaction is begun.

    Raises:
        PostgresURLError: the URL is not valid.
        psycopg.OperationalError: PostgreSQL does not accept the connection.
    """
    return await AsyncConnection.connect(**arguments_of(url), autocommit=True)
