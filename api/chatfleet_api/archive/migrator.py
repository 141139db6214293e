"""Applies the migrations, which are plain SQL in `migrations/`: all in one transaction, under an advisory lock.

The lock is of the transaction, so that it holds behind a connection pooler, too.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection

SCHEMA_LOCK: Final = 7_166_419_337_205_581_123
"""Key of the advisory lock: a number that nothing else takes."""

_BEGIN: Final = """
CREATE SCHEMA IF NOT EXISTS chatfleet;
CREATE TABLE IF NOT EXISTS chatfleet.schema_version (
  version integer PRIMARY KEY,
  name text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON chatfleet.schema_version FROM PUBLIC;
"""


class Migration(NamedTuple):
    """One step of the schema, and the way back."""

    version: int
    name: str
    upgrade: bytes
    downgrade: bytes


def migrations() -> Sequence[Migration]:
    """Return all migrations, oldest first."""
    folder = files(__package__) / "migrations"
    found = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".sql")}
    names = sorted(name.removesuffix(".up.sql") for name in found if name.endswith(".up.sql"))
    return [Migration(int(name[:4]), name, found[f"{name}.up.sql"], found[f"{name}.down.sql"]) for name in names]


async def current(connection: AsyncConnection[Any]) -> int:
    """Return the version of the schema; 0: there is none."""
    row = await (await connection.execute("SELECT to_regclass('chatfleet.schema_version') IS NOT NULL")).fetchone()
    return await _version(connection) if row and row[0] else 0


async def upgrade(
    connection: AsyncConnection[Any], known: Sequence[Migration], *, wait_seconds: int = 0
) -> Sequence[str]:
    """Apply the migrations of `known` that are missing, and return their names. Who comes second waits, and has none.

    It waits for `wait_seconds`; 0: for as long as it takes. A schema that is newer than all of them stays.
    """
    async with connection.transaction():
        await connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{wait_seconds}s",))
        before = await _locked(connection)
        missing = [each for each in known if each.version > before]
        for each in missing:
            await connection.execute(each.upgrade)
            row = (each.version, each.name)
            await connection.execute("INSERT INTO chatfleet.schema_version (version, name) VALUES (%s, %s)", row)
    return [each.name for each in missing]


async def downgrade(connection: AsyncConnection[Any], known: Sequence[Migration], *, to: int) -> Sequence[str]:
    """Undo the migrations of `known` beyond version `to`, newest first, and return their names.

    Raises:
        UnknownVersionError: the schema is newer than all of them.
    """
    async with connection.transaction():
        before = await _locked(connection)
        if before > max((each.version for each in known), default=0):
            raise UnknownVersionError(before)
        undone = [each for each in reversed(known) if to < each.version <= before]
        for each in undone:
            await connection.execute(each.downgrade)
            await connection.execute("DELETE FROM chatfleet.schema_version WHERE version = %s", (each.version,))
    return [each.name for each in undone]


class UnknownVersionError(ValueError):
    """The schema has a version that this program does not know."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"The schema has version {version}, which this image does not know; use the image that made it."
        )


async def _locked(connection: AsyncConnection[Any]) -> int:
    """Take the lock, make what the migrations need, and return the version."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
    await connection.execute(_BEGIN)
    return await _version(connection)


async def _version(connection: AsyncConnection[Any]) -> int:
    cursor = await connection.execute("SELECT coalesce(max(version), 0) FROM chatfleet.schema_version")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
