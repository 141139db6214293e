"""A pod as a real process that archives: what a client did is in PostgreSQL, and its report and metrics have it."""

import http.client
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chatfleet_contract.runtime import RuntimeConfig
from harness.clients.reader import Reader, begin
from harness.pods.api_process import api_process, fetch, scripted
from harness.polling import eventually
from harness.postgres import PostgresServer

QUERY = "SELECT role, content, status FROM chatfleet.messages ORDER BY position"


def rows(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('chatfleet.messages')").fetchone() == (None,):
            return []
        return connection.execute(QUERY).fetchall()


@pytest.mark.feature(35)
def test_what_a_client_did_is_archived_and_what_it_deletes_is_deleted(
    tmp_path: Path, redis_url: str, postgres: PostgresServer
) -> None:
    url = postgres.database()
    (tmp_path / "redis").write_text(redis_url)
    (tmp_path / "postgres").write_text(url)
    files = {"redis_url_file": str(tmp_path / "redis"), "archive_url_file": str(tmp_path / "postgres")}
    config = RuntimeConfig.model_validate(scripted("count").model_dump() | files)
    with api_process(tmp_path, config) as pod:
        reader, conversation = Reader(), begin(pod)
        reader.say(pod, conversation)
        fetch(f"{pod.url}{conversation}/feedback", {"thumb": "up"})
        eventually(lambda: [row[::2] for row in rows(url)] == [("user", "complete"), ("assistant", "complete")])
        assert rows(url)[1][1] == reader.text != ""
        eventually(lambda: pod.health("/health").json.get("archive") == {"state": "up"})
        with closing(http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30)) as connection:
            connection.request("DELETE", conversation)
            assert connection.getresponse().status == 204
        eventually(lambda: not rows(url))
