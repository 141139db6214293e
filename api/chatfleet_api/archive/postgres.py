"""The archive of one ChatDeployment in PostgreSQL. Imported only by pods that have one."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from chatfleet_api.archive import rows, statements
from chatfleet_api.archive.changes import Changes
from chatfleet_api.archive.connecting import PostgresURLError, arguments_of, connect
from chatfleet_api.archive.migrator import migrations, upgrade

T = TypeVar("T")
MAX_CONNECTIONS: Final = 20
"""Of one pod; each keeps one open, so that a large fleet does not use up the server's."""
WAIT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 10.0
"""Without an answer to a check, after which PostgreSQL counts as down."""
WRITE_SECONDS: Final = 10
"""Longest that one statement of the writer may take."""
READ_SECONDS: Final = 3
"""Longest that a client waits for what it reads from here."""
CLOSE_SECONDS: Final = 1.0
MIGRATION_SECONDS: Final = 10
"""Longest that a pod waits for another one's migration before it tries again."""

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # the archive's own state says it once


class UnavailableError(Exception):
    """PostgreSQL cannot be used now; the message has the cause in its words."""


class TooSlowError(UnavailableError):
    """A statement took longer than it may; nothing is written."""


class TermLostError(Exception):
    """Another process archives now."""


class RejectedRowsError(Exception):
    """PostgreSQL does not take a value, such as one that is too large."""


class PostgresArchive:
    """The tables of one ChatDeployment, in the PostgreSQL whose URL `read_url` returns, whatever becomes of it."""

    def __init__(self, read_url: Callable[[], str], deployment: str) -> None:
        self._read_url, self._deployment = read_url, deployment
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] | None = None
        self._closed = False

    async def check(self) -> None:
        """Return when PostgreSQL answers; raises `UnavailableError`, also when it is silent."""
        try:
            await _answered(self._check(), SILENT_SECONDS)
        except TimeoutError as error:
            await self._disconnect()
            raise UnavailableError(_silent(SILENT_SECONDS)) from error

    async def begin_term(self) -> int:
        """Make the schema current, and return the number of a new term, after which no earlier writer writes.

        Raises:
            UnavailableError: also when the login lacks rights; the message has them.
        """
        try:
            async with await connect(self._url()) as connection:
                await upgrade(connection, migrations(), wait_seconds=MIGRATION_SECONDS)
        except (psycopg.Error, PostgresURLError, OSError, UnicodeDecodeError) as error:
            raise UnavailableError(_first_line(error)) from error
        async with self._used() as connection, connection.transaction():
            await self._begin(connection, "")
            found = await connection.execute(statements.NEW_TERM, {"deployment": self._deployment})
            row = await found.fetchone()
            return int(row[0]) if row else 0

    async def write(self, changes: Iterable[Changes], term: int) -> None:
        """Archive changes, all of them or nothing.

        Raises:
            UnavailableError: nothing is known of what became of them; write them again. `TooSlowError` may be of one.
            RejectedRowsError: nothing is written, because of one of them.
            TermLostError: nothing is written.
        """
        by_tenant = groupby(sorted(changes, key=_tenant), key=_tenant)
        async with self._used() as connection, connection.transaction():
            await self._begin(connection, "")
            row = await (await connection.execute(statements.TERM, {"deployment": self._deployment})).fetchone()
            if row is None or row[0] != term:
                raise TermLostError
            for tenant, of_tenant in by_tenant:
                await self._write(connection, tenant, list(of_tenant))

    async def read(self, tenant: str, statement: str, values: Mapping[str, object]) -> str | None:
        """Return what one statement finds for one tenant, within `READ_SECONDS`; None when that is nothing.

        Raises `UnavailableError`, which concerns no one else who uses a connection.
        """
        try:
            return await _answered(self._read(tenant, statement, values), READ_SECONDS)
        except TimeoutError as error:
            raise UnavailableError(_silent(READ_SECONDS)) from error

    async def aclose(self) -> None:
        """Close all connections, for good: whoever still has this archive opens no others."""
        self._closed = True
        await self._disconnect()

    async def _disconnect(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close(timeout=CLOSE_SECONDS)

    async def _check(self) -> None:
        async with self._used() as connection:
            await connection.execute("SELECT 1")

    async def _write(self, connection: AsyncConnection[Any], tenant: str, changes: Sequence[Changes]) -> None:
        names = {"deployment": self._deployment, "tenant": tenant}
        await connection.execute(statements.TENANT, names)
        if deleted := [each.marked.conversation for each in changes if each.deleted]:
            await connection.execute(statements.DELETE, {"ids": deleted})
        for statement, found in (
            (statements.CONVERSATIONS, rows.conversations(changes)),
            (statements.MESSAGES, rows.messages(changes)),
            (statements.NO_FEEDBACK, rows.removed(changes)),
            (statements.FEEDBACK, rows.feedback(changes)),
            (statements.USAGE, rows.usage(changes)),
        ):
            for document in rows.documents(found):
                await connection.execute(statement, {**names, "rows": document})

    async def _read(self, tenant: str, statement: str, values: Mapping[str, object]) -> str | None:
        named = {**values, "deployment": self._deployment, "tenant": tenant}
        try:
            pool = self._pool or await self._open()
            async with pool.connection(timeout=READ_SECONDS) as connection, connection.transaction():
                await self._begin(connection, tenant, READ_SECONDS)
                row = await (await connection.execute(statement.encode(), named)).fetchone()
        except (psycopg.Error, PostgresURLError, OSError, UnicodeDecodeError) as error:
            raise UnavailableError(_first_line(error)) from error
        return None if row is None else row[0]

    async def _begin(self, connection: AsyncConnection[Any], tenant: str, seconds: int = WRITE_SECONDS) -> None:
        values = {"deployment": self._deployment, "tenant": tenant, "timeout": f"{seconds}s"}
        await connection.execute(statements.BEGIN, values)

    @asynccontextmanager
    async def _used(self) -> AsyncGenerator[AsyncConnection[Any], None]:
        """Yield a connection; after a failure all are made anew, as the URL may have changed."""
        try:
            pool = self._pool or await self._open()
            async with pool.connection(timeout=WAIT_SECONDS) as connection:
                yield connection
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as error:
            raise RejectedRowsError(_first_line(error)) from error
        except psycopg.errors.QueryCanceled as error:
            raise TooSlowError(_first_line(error)) from error  # the connections are sound
        except (psycopg.Error, PostgresURLError, OSError, UnicodeDecodeError) as error:
            await self._disconnect()
            raise UnavailableError(await self._cause(error)) from error

    async def _open(self) -> AsyncConnectionPool[AsyncConnection[Any]]:
        kwargs = {**arguments_of(self._url()), "autocommit": True}
        self._pool = pool = AsyncConnectionPool(kwargs=kwargs, min_size=1, max_size=MAX_CONNECTIONS, open=False)
        await pool.open()
        return pool

    def _url(self) -> str:
        if self._closed:
            raise UnavailableError("its connections are closed, because another URL is used or the pod ends")
        return self._read_url()

    async def _cause(self, error: Exception) -> str:
        """Return why PostgreSQL cannot be used; the pool alone knows that it has no connection."""
        if isinstance(error, psycopg.OperationalError):
            try:
                await (await connect(self._url())).close()
            except (psycopg.Error, PostgresURLError, OSError, UnicodeDecodeError) as cause:
                return _first_line(cause)
        return _first_line(error)


async def _answered(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return what PostgreSQL answers; raises `TimeoutError`, on time: a silent server delays a cancellation, too."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not done:
        raise TimeoutError
    return task.result()


def _silent(seconds: float) -> str:
    return f"PostgreSQL has not answered within {seconds:g} s"


def _tenant(changes: Changes) -> str:
    return changes.marked.tenant


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
