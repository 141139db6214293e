"""Without an archive, nothing of PostgreSQL is loaded."""

import subprocess
import sys

PROGRAM = """
import sys
import chatfleet_api.__main__
print("chatfleet_api.archive.keeper" in sys.modules, "psycopg" in sys.modules, "psycopg_pool" in sys.modules)
"""


def test_without_an_archive_nothing_of_postgresql_is_imported() -> None:
    done = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]
