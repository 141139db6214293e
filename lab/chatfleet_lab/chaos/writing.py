"""Writers: they say something in one conversation after the other, and note what was acknowledged, and when."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple

import aiohttp

from chatfleet_lab.chaos.fleet import Fleet
from chatfleet_lab.chaos.scenario import Trial
from harness.clients.client import NoStreamError, Question
from harness.polling import eventually_async
from harness.upstream.script import Script

MESSAGES = 10
"""In each conversation."""
PATIENCE = 5.0
RETURN = 30.0
"""Seconds in which a Redis must be usable again."""


class Said(NamedTuple):
    """A message that was acknowledged: its answer began."""

    conversation: str
    text: str
    at: float
    """When, on the machine's monotonic clock."""


@dataclass
class Written:
    """What writers were told."""

    acknowledged: list[Said] = field(default_factory=list)
    refused: int = 0


async def write(trial: Trial, fleet: Fleet, written: Written) -> None:
    """Go on writing until cancelled."""
    while True:
        with suppress(aiohttp.ClientError, NoStreamError):
            talk = await trial.client.converse(fleet.url)
            for _ in range(MESSAGES):
                question = Question(Script(trial.key(), 1), "openai", "native", talk)
                received = await trial.client.ask(fleet.url, question, patience=PATIENCE)
                if not received.sequence:
                    written.refused += 1
                    break
                at = received.asked + received.waits[0]
                written.acknowledged.append(Said(talk, question.script.question, at))


async def lost(trial: Trial, fleet: Fleet, written: Written) -> list[Said]:
    """Return what was acknowledged and is not there."""
    kept = {
        talk: await roles_and_texts(trial, fleet, talk) for talk in {said.conversation for said in written.acknowledged}
    }
    return [said for said in written.acknowledged if ("user", said.text) not in kept[said.conversation]]


async def roles_and_texts(trial: Trial, fleet: Fleet, talk: str) -> list[tuple[str, str]]:
    """Return the messages of a conversation; none when it is not known, as soon as that can be said."""
    kept: list[tuple[str, str]] = []

    async def told() -> bool:
        try:
            messages = await trial.client.messages(fleet.url, talk)
        except aiohttp.ClientResponseError as error:
            return error.status == HTTPStatus.NOT_FOUND
        except aiohttp.ClientError:
            return False
        kept[:] = [(message.role, message.content) for message in messages]
        return True

    await eventually_async(told, seconds=RETURN)
    return kept


def window(missing: Sequence[Said], deaths: Sequence[float]) -> float:
    """Return how long before a death the oldest of what it took was acknowledged, in seconds; 0 for nothing. Pure."""
    before = (min((death for death in deaths if death >= said.at), default=said.at) - said.at for said in missing)
    return max(before, default=0.0)
