"""The schema of the archive on a real PostgreSQL: up and down with data, and closed to other tenants and roles."""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from chatfleet_api.archive.__main__ import ENV_URL, main
from chatfleet_api.archive.connecting import connect
from chatfleet_api.archive.migrator import Migration, UnknownVersionError, current, downgrade, migrations, upgrade
from harness.postgres import PostgresServer, as_role

ID = "00000000-0000-7000-8000-000000000001"
NOW = "2026-01-01T00:00:00Z"
ADD = "INSERT INTO chatfleet.conversations VALUES ('ns/support', %s, %s, NULL, 'title', '{}', NULL, 1, %s, %s)"
TABLES = ("conversations", "messages", "feedback", "usage", "writers")
NOTED = Migration(
    99,
    "0099_note",
    b"ALTER TABLE chatfleet.conversations ADD note text; UPDATE chatfleet.conversations SET note = title;",
    b"ALTER TABLE chatfleet.conversations DROP note",
)


def add(url: str, *tenants: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for tenant in tenants:
            connection.execute(ADD, (tenant, ID, NOW, NOW))


def rows(url: str, query: str, *arguments: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), arguments).fetchall()


async def upgraded(url: str, known: Sequence[Migration] | None = None) -> Sequence[str]:
    async with await connect(url) as connection:
        return await upgrade(connection, migrations() if known is None else known)


@pytest.mark.feature(56)
async def test_an_upgrade_and_a_downgrade_keep_what_their_schema_can_hold(postgres: PostgresServer) -> None:
    url = postgres.database()
    assert await upgraded(url) == [each.name for each in migrations()]
    assert await upgraded(url) == []
    add(url, "acme", "other")
    later = [*migrations(), NOTED]
    assert await upgraded(url, later) == ["0099_note"]
    assert rows(url, "SELECT note FROM chatfleet.conversations") == [("title",)] * 2
    async with await connect(url) as connection:
        assert await current(connection) == 99
        with pytest.raises(UnknownVersionError):
            await downgrade(connection, migrations(), to=0)
        assert await upgrade(connection, migrations()) == []  # an older pod beside a newer one
        assert await downgrade(connection, later, to=1) == ["0099_note"]
        assert rows(url, "SELECT tenant, title FROM chatfleet.conversations") == [("acme", "title"), ("other", "title")]
        assert await downgrade(connection, later, to=0) == ["0001_tables"]
        assert await current(connection) == 0
    assert rows(url, "SELECT to_regclass('chatfleet.conversations')") == [(None,)]
    assert await upgraded(url) == ["0001_tables"]


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(postgres: PostgresServer) -> None:
    url = postgres.database()
    broken = Migration(2, "0002_broken", b"CREATE TABLE chatfleet.half (); SELECT 1 / 0", b"")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await upgraded(url, [*migrations(), broken])
    async with await connect(url) as connection:
        assert await current(connection) == 0
    assert rows(url, "SELECT to_regclass('chatfleet.half'), to_regclass('chatfleet.messages')") == [(None, None)]


async def test_of_pods_that_upgrade_together_one_does(postgres: PostgresServer) -> None:
    url = postgres.database()
    done = await asyncio.gather(*[upgraded(url) for _ in range(6)])
    assert sorted(map(list, done)) == [[]] * 5 + [["0001_tables"]]


def as_tenant(connection: "psycopg.Connection[Any]", tenant: str, deployment: str = "ns/support") -> None:
    connection.execute("SET LOCAL ROLE chatfleet_archive")
    connection.execute("SELECT set_config('chatfleet.deployment', %s, true)", (deployment,))
    connection.execute("SELECT set_config('chatfleet.tenant', %s, true)", (tenant,))


@pytest.mark.feature(35)
async def test_a_transaction_sees_and_writes_rows_of_its_tenant_alone_although_its_login_may_all(
    postgres: PostgresServer,
) -> None:
    url = postgres.database()
    await upgraded(url)
    add(url, "acme", "other")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (True,)
        for tenant in ("acme", "other"):
            with connection.transaction():
                as_tenant(connection, tenant)
                assert connection.execute("SELECT tenant FROM chatfleet.conversations").fetchall() == [(tenant,)]
                changed = connection.execute("UPDATE chatfleet.conversations SET title = 'new'")
                assert changed.rowcount == 1
        with connection.transaction():
            as_tenant(connection, "acme", "ns/another")
            assert connection.execute("SELECT * FROM chatfleet.conversations").fetchall() == []
        with connection.transaction():
            connection.execute("SET LOCAL ROLE chatfleet_archive")
            assert connection.execute("SELECT * FROM chatfleet.conversations").fetchall() == []
        as_tenant(connection, "acme")
        with pytest.raises(InsufficientPrivilege, match="row-level security"):
            connection.execute(ADD, ("third", ID, NOW, NOW))


SECURED = """
SELECT relname, relrowsecurity AND relforcerowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid)
FROM pg_class c
WHERE relnamespace = 'chatfleet'::regnamespace AND relkind = 'r' AND relname <> 'schema_version'
"""


def test_every_table_has_a_policy_that_holds_for_its_owner_too(postgres: PostgresServer) -> None:
    url = postgres.database()
    asyncio.run(upgraded(url))
    found = rows(url, SECURED)
    assert sorted(found) == sorted((table, True, 1) for table in TABLES)
    role = "SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'chatfleet_archive'"
    assert rows(url, role) == [(False, False, False)]


SUPABASE = """
CREATE ROLE sb_owner LOGIN CREATEROLE CREATEDB BYPASSRLS;
CREATE ROLE sb_anon LOGIN;
CREATE ROLE sb_authenticated LOGIN;
CREATE ROLE sb_service LOGIN BYPASSRLS;
GRANT sb_anon, sb_authenticated, sb_service TO sb_owner;
"""
"""The roles of Supabase, by other names: its `postgres` is no superuser, and bypasses row-level security."""
DEFAULTS = """
GRANT ALL ON SCHEMA public TO sb_owner, sb_anon, sb_authenticated, sb_service;
ALTER DEFAULT PRIVILEGES FOR ROLE sb_owner IN SCHEMA public
  GRANT ALL ON TABLES TO sb_anon, sb_authenticated, sb_service;
"""


@pytest.fixture(scope="session")
def _roles(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(SUPABASE)


@pytest.mark.usefixtures("_roles")
async def test_roles_of_supabase_get_nothing_and_its_owner_is_bound_by_the_policy(postgres: PostgresServer) -> None:
    url = postgres.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{url.rpartition("/")[2]}" OWNER TO sb_owner'.encode())
        connection.execute(DEFAULTS)
    owner = as_role(url, "sb_owner")
    await upgraded(owner)
    add(owner, "acme", "other")
    with psycopg.connect(owner) as connection, connection.transaction():
        assert len(connection.execute("SELECT * FROM chatfleet.conversations").fetchall()) == 2  # BYPASSRLS
        as_tenant(connection, "acme")
        assert connection.execute("SELECT tenant FROM chatfleet.conversations").fetchall() == [("acme",)]
    for role in ("sb_anon", "sb_authenticated", "sb_service"):
        for table in (*TABLES, "schema_version"):
            with pytest.raises(InsufficientPrivilege):
                rows(as_role(url, role), f"TABLE chatfleet.{table}")
    async with await connect(owner) as login:
        await downgrade(login, migrations(), to=0)


async def test_a_login_that_makes_no_roles_uses_the_one_that_an_administrator_has_granted(
    postgres: PostgresServer,
) -> None:
    first, url = postgres.database(), postgres.database()
    await upgraded(first)  # makes the role
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute(f'GRANT CREATE ON DATABASE "{url.rpartition("/")[2]}" TO app'.encode())
        connection.execute("GRANT chatfleet_archive TO app")
    app = as_role(url, "app")
    await upgraded(app)
    with psycopg.connect(app) as connection:
        as_tenant(connection, "acme")
        connection.execute(ADD, ("acme", ID, NOW, NOW))
        assert connection.execute("SELECT tenant FROM chatfleet.conversations").fetchall() == [("acme",)]


def test_the_command_upgrades_shows_and_downgrades(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENV_URL, postgres.database())
    assert main(["current"]) == 0
    assert capsys.readouterr().out == "The schema has version 0 of 1.\n"
    assert main(["upgrade"]) == 0
    assert capsys.readouterr().out == "Applied 0001_tables.\nThe schema has version 1 of 1.\n"
    assert main(["downgrade", "--to", "0"]) == 0
    assert capsys.readouterr().out == "Undone 0001_tables.\nThe schema has version 0 of 1.\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "CHATFLEET_POSTGRES_URL is not set"),
        ("mysql://user:hunter2@host/name", "does not begin with postgresql://"),
        ("postgresql://user:hunter2@host/name?colour=red", "is not valid"),
        ("postgresql://user:hunter2@127.0.0.1:1/name", "refused"),
    ],
)
def test_a_url_that_cannot_be_used_is_an_error_without_its_password(
    url: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENV_URL, url)
    assert main(["current"]) == 2
    printed = capsys.readouterr().err
    assert expected in printed
    assert "hunter2" not in printed
