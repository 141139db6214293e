"""How often the last uses of API keys are written: on virtual time."""

import asyncio
from datetime import UTC, datetime, timedelta
from unittest.mock import create_autospec

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.identity.api_keys import APIKey, parse_key
from chatfleet_api.identity.key_uses import CLOSING_SECONDS, POLL_SECONDS, KeyUses
from chatfleet_api.redis.client import RedisClient

pytestmark = pytest.mark.looptime

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def seconds() -> float:
    return asyncio.get_running_loop().time()


class Pod:
    """Two keys, and a Redis that counts the commands and takes them, if it can be reached."""

    def __init__(self) -> None:
        names = ("web", "app")
        self.keys: list[APIKey] = [parse_key(f"sk-chat-{name:-<40}", name=name, tenant="shop") for name in names]
        self.commands: list[tuple[float, int]] = []
        self.reachable = True
        redis = create_autospec(RedisClient, instance=True)
        redis.call.side_effect = self._take
        redis.call_all.side_effect = self._take
        redis.shared_key.side_effect = str
        self.uses = KeyUses(redis, lambda: self.keys)

    async def _take(self, *command: object) -> None:
        if not self.reachable:
            raise ChatError(Code.STORAGE_UNAVAILABLE)
        self.commands.append((seconds(), int(str(command[2]))))

    async def used_for(self, duration: int) -> None:
        for _ in range(duration):
            for key in self.keys:
                assert key.principal.grant
                key.principal.grant.used = BEGIN + timedelta(seconds=seconds())
            await asyncio.sleep(1)


async def test_keys_in_constant_use_take_one_command_a_minute_together() -> None:
    pod = Pod()
    async with pod.uses.recording():
        await pod.used_for(600)
        assert 9 <= len(pod.commands) <= 11
        assert pod.commands[0] == (POLL_SECONDS, 2)
        assert all(keys == 2 for _, keys in pod.commands)
        count = len(pod.commands)
        await asyncio.sleep(3600)
        assert len(pod.commands) <= count + 1


async def test_without_uses_nothing_is_written() -> None:
    pod = Pod()
    async with pod.uses.recording():
        await asyncio.sleep(600)
    assert not pod.commands


async def test_after_an_outage_the_uses_meanwhile_are_written_and_at_the_end_those_of_the_last_minute() -> None:
    pod = Pod()
    pod.reachable = False
    async with pod.uses.recording():
        await pod.used_for(100)
        assert not (await pod.uses.last()).whole
        pod.reachable = True
        await asyncio.sleep(POLL_SECONDS)
        assert [keys for _, keys in pod.commands] == [2]
        await pod.used_for(20)
    assert [keys for _, keys in pod.commands] == [2, 2]


async def test_the_end_of_a_pod_waits_a_second_for_redis() -> None:
    pod = Pod()
    pod.reachable = False
    async with pod.uses.recording():
        await pod.used_for(1)
        began = seconds()
    assert seconds() - began == CLOSING_SECONDS
