"""A pod as a real process that archives: what a client did is in PostgreSQL, and is read from there by its routes."""

import http.client
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from chatfleet_api.web.dialects.responses.ids import conversation_id
from chatfleet_contract.runtime import RuntimeConfig
from harness.clients.reader import Reader, begin
from harness.pods.api_process import Answer, ApiProcess, api_process, fetch, scripted
from harness.pods.archived import NOWHERE
from harness.polling import eventually
from harness.postgres import PostgresServer, end_connections

pytestmark = pytest.mark.lasts(20)

QUERY = "SELECT role, content, status FROM chatfleet.messages ORDER BY position"


def rows(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('chatfleet.messages')").fetchone() == (None,):
            return []
        return connection.execute(QUERY).fetchall()


def delete(pod: ApiProcess, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30)) as connection:
        connection.request("DELETE", path)
        return connection.getresponse().status


def expire(url: str, conversation: str) -> None:
    """Let Redis forget a conversation."""
    with redis.Redis.from_url(url) as server:
        found = [f"*{{*/{conversation}}}:{kind}" for kind in ("conversation", "messages")]
        assert server.delete(*(key for pattern in found for key in server.scan_iter(pattern, count=1000))) == 2


def routes(conversation: str) -> tuple[str, ...]:
    """Return the routes that read a conversation."""
    native, openai = f"/api/v1/conversations/{conversation}", f"/v1/conversations/{conversation_id(conversation)}"
    return (
        *(native, f"{native}/messages", f"{native}/export", f"{native}/export?format=markdown", f"{native}/feedback"),
        *(openai, f"{openai}/items", f"/sessions/{conversation}"),
    )


def read(pod: ApiProcess, conversation: str) -> list[Answer]:
    return [fetch(f"{pod.url}{route}") for route in routes(conversation)]


@pytest.mark.feature(35)
def test_what_a_client_did_is_archived_and_read_from_there_until_it_is_deleted(
    tmp_path: Path, redis_url: str, postgres: PostgresServer
) -> None:
    url = postgres.database()
    (tmp_path / "redis").write_text(redis_url)
    (tmp_path / "postgres").write_text(url)
    files = {"redis_url_file": str(tmp_path / "redis"), "archive_url_file": str(tmp_path / "postgres")}
    config = RuntimeConfig.model_validate(scripted("count").model_dump() | files)
    with api_process(tmp_path, config) as pod:
        reader, path = Reader(), begin(pod)
        conversation = path.rpartition("/")[2]
        reader.say(pod, path)
        fetch(f"{pod.url}{path}/feedback", {"thumb": "up"})
        eventually(lambda: [row[::2] for row in rows(url)] == [("user", "complete"), ("assistant", "complete")])
        assert rows(url)[1][1] == reader.text != ""
        eventually(lambda: pod.health("/health").json.get("archive") == {"state": "up"})
        before, listed = read(pod, conversation), fetch(f"{pod.url}/api/v1/conversations").json
        expire(redis_url, conversation)
        expected = [(200, each.body) for each in before]
        eventually(lambda: [(each.status, each.body) for each in read(pod, conversation)] == expected)
        eventually(lambda: fetch(f"{pod.url}/api/v1/conversations").json == listed)
        reader.say(pod, path, content="go on")
        assert [each["content"] for each in fetch(f"{pod.url}{path}/messages").json["messages"][::2]] == ["hi", "go on"]
        eventually(lambda: len(rows(url)) == 4)
        expire(redis_url, conversation)
        (tmp_path / "postgres").write_text(NOWHERE)
        end_connections(url)
        eventually(lambda: pod.health("/health").json["archive"]["state"] == "down")
        for answer in read(pod, conversation):
            assert (answer.status, bool(answer.headers["retry-after"])) == (503, True), answer
            assert b"storage_unavailable" in answer.body
        assert fetch(f"{pod.url}{path}/messages", {"content": "lost?"}).status == 503
        assert fetch(f"{pod.url}/api/v1/conversations").json["next_cursor"]
        assert delete(pod, path) == 204
        assert {each.status for each in read(pod, conversation)} == {404}
        assert delete(pod, path) == 404
        assert len(rows(url)) == 4
        (tmp_path / "postgres").write_text(url)
        eventually(lambda: not rows(url))
        eventually(lambda: {each.status for each in read(pod, conversation)} == {404})
        eventually(lambda: fetch(f"{pod.url}/api/v1/conversations").json == {**listed, "conversations": []})
