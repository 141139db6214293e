"""A real PostgreSQL for tests: Debian's server on a loopback port, run by a user without privileges, gone at the end.

No service of the machine is used. Nothing waits for a disk (`fsync` is off): what a killed server had written is in the
memory of the kernel, where the server finds it when it starts again.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest

from harness.net import LOOPBACK, free_port
from harness.process import Program, await_ready, started

SUPERUSER: Final = "postgres"
SETTINGS: Final = (
    *("fsync=off", "full_page_writes=off", "unix_socket_directories=", "max_connections=60"),
    *("shared_buffers=16MB", "max_wal_size=256MB", "autovacuum=off", "log_min_messages=fatal"),
)
_OF_OTHERS: Final = ("--clear-groups", "--pdeathsig", "KILL", "--")
"""Another user's process forgets that it is to end with this one, unless that is set anew."""
_names: Final = (f"archive_{number}" for number in count())
"""Each is a database of its own."""


def programs() -> Path:
    """Return the folder of the newest PostgreSQL; raises `RuntimeError` when none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if (program := shutil.which("initdb")) is not None:
        return Path(program).parent
    raise RuntimeError("PostgreSQL is not installed: run `make setup` as root, or apt-get install postgresql")


def _unprivileged() -> tuple[str, ...]:
    """Return the beginning of a command of PostgreSQL, which refuses to be run by root."""
    if os.geteuid():
        return ()
    with suppress(KeyError):
        user = pwd.getpwnam(SUPERUSER)
        return ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", *_OF_OTHERS)
    return ("setpriv", "--reuid=65534", "--regid=65534", *_OF_OTHERS)


class PostgresServer:
    """One server, which can be killed and started again with the data that it had."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder, self._data = folder, folder / "data"
        self._running: Program | None = None
        self.restarted = ExitStack()
        """Ends what `start` has started."""
        folder.mkdir(parents=True, exist_ok=True)
        self._data.mkdir()
        if not os.geteuid():
            owner = int(_unprivileged()[1].partition("=")[2])
            os.chown(self._data, owner, -1)
        options = (
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        )
        command = (*_unprivileged(), str(programs() / "initdb"), *options, "--pgdata", str(self._data))
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    @property
    def url(self) -> str:
        """URL of its first database, as the superuser."""
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{SUPERUSER}"

    @property
    def program(self) -> Program:
        """The process."""
        if self._running is None:
            raise RuntimeError("start the server first")
        return self._running

    @contextmanager
    def running(self) -> Iterator[Program]:
        """Run the server until the block ends."""
        settings = [
            part for each in (*SETTINGS, f"port={self.port}", f"listen_addresses={LOOPBACK}") for part in ("-c", each)
        ]
        command = (*_unprivileged(), str(programs() / "postgres"), "-D", str(self._data), *settings)
        with started("postgres", command, folder=self._folder) as self._running:
            await_ready(self._running, lambda: answers(self.url), port=self.port)
            yield self._running

    def start(self) -> None:
        """Start it again, after a crash, until `postgres_server` ends."""
        self.restarted.enter_context(self.running())

    def crash(self) -> None:
        """End it at once, with all connections, as a crash does: what is committed is found again by recovery."""
        os.kill(self.program.pid, signal.SIGQUIT)
        self.program.exit_status()

    def database(self, name: str | None = None, *, template: str = "template1") -> str:
        """Create a database and return its URL."""
        name = name or next(_names)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{name}"


def answers(url: str) -> bool:
    """Return whether a database accepts connections."""
    with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def fetch_all(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return all rows of a query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def end_connections(url: str) -> None:
    """End all connections to a database, as an administrator does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def as_role(url: str, role: str) -> str:
    """Return the URL of the same database, with another login."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}@{parts.hostname}:{parts.port}").geturl()


@contextmanager
def pooled(url: str) -> Iterator[str]:
    """Run pgbouncer in transaction mode, with one connection, before the database at `url`; yields its URL there."""
    folder, port, server = Path(tempfile.mkdtemp(prefix="pgbouncer-")), free_port(), urlsplit(url)
    folder.chmod(0o755)
    (folder / "users.txt").write_text(f'"{SUPERUSER}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={LOOPBACK} port={server.port}\n[pgbouncer]\nlisten_addr = {LOOPBACK}\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder / 'users.txt'}\n"
        "pool_mode = transaction\ndefault_pool_size = 1\n"
    )
    command = (*_unprivileged(), "/usr/sbin/pgbouncer", str(folder / "pgbouncer.ini"))
    pooler = server._replace(netloc=f"{SUPERUSER}@{LOOPBACK}:{port}").geturl()
    try:
        with started("pgbouncer", command, folder=folder) as program:
            await_ready(program, lambda: answers(pooler))
            yield pooler
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run one server until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    folder.chmod(0o711)  # its user is another one
    try:
        server = PostgresServer(folder)
        with server.running(), server.restarted:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the whole session; each test has databases of its own."""
    with postgres_server() as server:
        yield server
