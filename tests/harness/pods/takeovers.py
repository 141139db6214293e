"""Pods of which one dies: how they are opened, asked and read."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from chatfleet_api.chat.sending import NewMessage
from chatfleet_api.domain.events import Event, Token
from chatfleet_contract.spec.provider_types import Continuation
from harness.pods.fleet_pod import FleetPod, Following
from harness.pods.runs import CALLER, STOP, TENANT, FakeProvider, collect, text

HALF = FakeProvider(text("one "), text("two "), 60)
REST = FakeProvider(text("three "), text("four"), [STOP])


class Fleet(Protocol):
    def __call__(self, *scripts: FakeProvider, continuation: Continuation = "none") -> Awaitable[list[FleetPod]]: ...


async def read(pod: FleetPod, run: str, after: int = 0) -> list[tuple[int, Event]]:
    async with asyncio.timeout(20):
        return await collect(pod.chat.pool.read(TENANT, run, after))


def follow(pod: FleetPod, run: str, after: int = 0) -> Following:
    return Following(pod.chat.pool.read(TENANT, run, after))


async def ask(pod: FleetPod, said: str = "hi") -> tuple[str, str]:
    """Return a new conversation and the run that answers in it."""
    conversation = (await pod.chat.conversations.create(CALLER)).id
    return conversation, (await pod.chat.conversations.send(CALLER, conversation, NewMessage(said))).id


def words(events: list[tuple[int, Event]]) -> str:
    return "".join(event.text for _, event in events if isinstance(event, Token))


def gapless(events: list[tuple[int, Event]]) -> bool:
    return [seq for seq, _ in events] == list(range(1, len(events) + 1))
