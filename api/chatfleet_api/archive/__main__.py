"""`python -m chatfleet_api.archive`: the schema of the archive by hand."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

import psycopg

from chatfleet_api.archive.connecting import PostgresURLError, connect
from chatfleet_api.archive.migrator import UnknownVersionError, current, downgrade, migrations, upgrade

ENV_URL: Final = "CHATFLEET_POSTGRES_URL"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return the exit status."""
    parsed = _parser().parse_args(arguments)
    url = os.environ.get(ENV_URL, "").strip()
    if not url:
        return _failed(f"{ENV_URL} is not set; set it to the URL of PostgreSQL.")
    try:
        print(asyncio.run(_run(url, parsed.command, getattr(parsed, "to", 0))))  # noqa: T201  # a command prints
    except (PostgresURLError, UnknownVersionError, psycopg.Error) as error:
        return _failed(str(error))
    return 0


async def _run(url: str, command: str, to: int) -> str:
    known = migrations()
    async with await connect(url) as connection:
        match command:
            case "upgrade":
                done: Sequence[str] = [f"Applied {name}." for name in await upgrade(connection, known)]
            case "downgrade":
                done = [f"Undone {name}." for name in await downgrade(connection, known, to=to)]
            case _:
                done = []
        return "\n".join([*done, f"The schema has version {await current(connection)} of {known[-1].version}."])


def _failed(message: str) -> int:
    sys.stderr.write(f"chatfleet-archive: {message.strip()}\n")
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m chatfleet_api.archive",
        description=f"Changes the schema of the archive in the PostgreSQL at {ENV_URL}, or shows its version.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help="apply the migrations that are missing")
    down = commands.add_parser("downgrade", help="undo migrations; their tables are deleted with all that is in them")
    down.add_argument("--to", type=int, required=True, help="version to go back to; 0: none")
    commands.add_parser("current", help="show the version")
    return parser


if __name__ == "__main__":
    sys.exit(main())
