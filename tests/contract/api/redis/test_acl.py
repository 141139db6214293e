"""Redis as it is hosted: what pods need of an ACL, and what they report when it shows less."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis
from uuid_utils import uuid7

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.pod.monitors import RedisMonitor
from chatfleet_api.redis import connect
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.key_positions import SENT
from chatfleet_api.sessions.redis import RedisSessionStore
from chatfleet_api.sessions.store import Append, Conversation, StoredMessage
from chatfleet_contract.report import Dependency, State
from harness.pods.api_process import api_process, scripted
from harness.pods.live import fixed
from harness.pods.runs import conversations
from harness.polling import eventually, eventually_async
from harness.redis.acl import INFO, SENTINEL, denied, documented_acl, restricted, restricted_sentinel
from harness.redis.server import redis_server
from harness.redis.topologies import clustered, watched

NOW = "2026-11-21T09:00:00.000Z"
API = Path(__file__).parents[4] / "api" / "chatfleet_api"
OF_THE_CLIENT = {"ping", "select", "command", "cluster|slots"}
"""Commands that the client library sends by itself."""
WITHOUT_KEYS = {"eval", "info", "wait"}
"""Commands whose server the client finds without a table: the keys of scripts are counted in each call."""
UNKNOWN = "maxmemory-policy is unknown: Redis refuses INFO (this user has no permissions to run the 'info' command)"
REMEDY = "; make sure that it is noeviction, or allow INFO"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server of the test's own: the ACL is for all of it."""
    with redis_server(tmp_path) as url:
        yield url


def without(*words: str) -> list[str]:
    return [word for word in documented_acl() if word not in words]


async def use(redis_client: RedisClient, replicas: int = 0) -> None:
    """Store a message."""
    sessions, conversation = RedisSessionStore(redis_client, conversations(), fixed(replicas)), str(uuid7())
    await sessions.create("default", Conversation(conversation, None, None, {}, NOW, NOW))
    await sessions.append(
        "default",
        conversation,
        Append((StoredMessage(str(uuid7()), "user", "hi", NOW),), now=NOW, expected_version=None),
    )


async def reported(redis_client: RedisClient) -> Dependency:
    """Return the first state that a pod reports."""
    monitor = RedisMonitor(redis_client.check, clock=time.monotonic, now=lambda: datetime.now(UTC))
    running = asyncio.ensure_future(monitor.run())
    await eventually_async(lambda: monitor.state.state is not State.UNKNOWN)
    running.cancel()
    return monitor.state


def test_the_documented_acl_grants_what_the_code_sends_and_no_more() -> None:
    source = "".join(file.read_text() for file in API.rglob("*.py"))
    scripts = set(re.findall(r"redis\.p?call\('([A-Z]+)'", source))
    called = set(re.findall(r"\"([A-Z]{3,})\",(?! \()", source))
    granted = {word[1:] for word in documented_acl() if word.startswith("+")}
    assert granted - OF_THE_CLIENT <= {name.lower() for name in scripts | called}
    assert {name.lower() for name in scripts} <= granted
    assert set(SENT) == {name.lower() for name in called} & granted - OF_THE_CLIENT - WITHOUT_KEYS


@pytest.fixture
def health_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the client check each connection that it uses again, as after an idle time."""
    settings = connect._settings  # noqa: SLF001  # the one place of the client's settings
    monkeypatch.setattr(connect, "_settings", lambda: settings() | {"health_check_interval": 1e-9})


async def refused_within(url: str, server: str) -> set[str]:
    """Return the commands that a pod sends through `url` and `server` refuses."""
    async with open_redis(url, "tests", "chat") as redis_client:
        for _ in range(2):  # a connection is checked when it is used again
            with suppress(ChatError):
                await use(redis_client)
    return denied(server)


async def test_a_cluster_is_asked_for_the_commands_that_pods_send_and_not_for_all(tmp_path: Path) -> None:
    with clustered(tmp_path) as url:
        async with open_redis(url, "tests", "chat") as redis_client:
            await use(redis_client)
        with Redis.from_url(url.replace("redis+cluster", "redis")) as server:
            asked = {name for name in server.info("commandstats") if name.startswith("cmdstat_command")}
    assert asked == {"cmdstat_command|info"}


@pytest.mark.usefixtures("health_checks")
@pytest.mark.parametrize("name", sorted(OF_THE_CLIENT))
async def test_each_documented_command_of_the_client_is_sent(tmp_path: Path, name: str) -> None:
    is_of_cluster = name in {"command", "cluster|slots"}
    with clustered(tmp_path) if is_of_cluster else redis_server(tmp_path) as url:
        used = restricted(url, without(f"+{name}"))
        sent = "command|info" if name == "command" else name
        assert await refused_within(used if is_of_cluster else f"{used[:-1]}1", url) == {sent}


@pytest.mark.usefixtures("health_checks")
@pytest.mark.parametrize("word", [word for word in documented_acl(SENTINEL) if word.startswith("+")])
async def test_each_documented_command_for_sentinels_is_sent(tmp_path: Path, server: str, word: str) -> None:
    acl = [other for other in documented_acl(SENTINEL) if other != word]
    with watched(tmp_path, server) as url:
        restricted(server)
        assert await refused_within(restricted_sentinel(url, acl), url) == {word[1:]}
        assert await refused_within(restricted_sentinel(url), url) == {word[1:]}


async def test_a_sentinel_that_refuses_is_named_in_the_report(tmp_path: Path, server: str) -> None:
    with watched(tmp_path, server) as url:
        restricted(server)
        acl = [word for word in documented_acl(SENTINEL) if word != "+sentinel|masters"]
        async with open_redis(restricted_sentinel(url, acl), "tests", "chat") as redis_client:
            found = await reported(redis_client)
    assert found.state is State.DOWN
    assert "sentinel|masters" in (found.message or "")


async def test_a_user_of_one_deployment_needs_no_other_keys(server: str) -> None:
    acl = (
        " ".join(documented_acl()).replace("~chatfleet:*", "~chatfleet:{tests/chat}* ~chatfleet:{tests/chat/*").split()
    )
    url = restricted(server, acl)
    async with open_redis(url, "tests", "chat") as ours, open_redis(url, "tests", "chatter") as another:
        await use(ours)
        assert await reported(ours) == Dependency(state=State.UP)
        with pytest.raises(ChatError) as caught:
            await use(another)
        assert caught.value.detail
        assert "Redis refuses a command" in caught.value.detail


async def test_replicas_can_be_waited_for(server: str) -> None:
    async with open_redis(restricted(server), "tests", "chat") as redis_client:
        with pytest.raises(ChatError) as caught:
            await use(redis_client, replicas=1)
    assert caught.value.detail == "0 of 1 replicas acknowledged the write"


async def test_without_info_all_works_and_the_report_has_what_is_unknown(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_redis(restricted(server, without(INFO)), "tests", "chat") as redis_client:
        await use(redis_client)
        for _ in range(3):
            assert await reported(redis_client) == Dependency(state=State.UP, message=UNKNOWN + REMEDY)
        await use(redis_client)
    assert [record.message for record in caplog.records] == [f"Redis: {UNKNOWN}{REMEDY}"]


async def test_a_permission_that_is_missing_is_named_in_the_report(server: str) -> None:
    async with open_redis(restricted(server, without("+exists")), "tests", "chat") as redis_client:
        found = await reported(redis_client)
    assert found.state is State.DOWN
    assert "Redis refuses a command" in (found.message or "")


async def test_a_cluster_that_may_not_be_explored_is_named_as_such(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        restricted(url, without("+cluster|slots"))
        async with open_redis(
            restricted(url, without("+cluster|slots")).replace("redis:", "redis+cluster:")[:-2], "t", "c"
        ) as client:
            found = await reported(client)
    assert "cluster|slots" in (found.message or "")


def test_a_pod_of_a_hosted_redis_is_healthy(tmp_path: Path, server: str) -> None:
    """No error is logged, either."""
    (tmp_path / "url").write_text(restricted(server, without(INFO)))
    config = scripted("echo").model_copy(update={"redis_url_file": str(tmp_path / "url")})
    with api_process(tmp_path, config) as api:
        eventually(lambda: api.health("/health").json["redis"]["state"] == "up")
        assert api.health("/health").json["redis"]["message"] == UNKNOWN + REMEDY
        assert b"chatfleet_redis_up 1.0" in api.health("/metrics").body
        assert "Traceback" not in api.log.read_text()
