"""Every bound of the definition on a real API server: it takes the value at the bound and refuses the one beyond.

A request takes the server 20 ms of CPU whatever is wrong in it, so that one document has the values of many bounds. For
a bound of which this tells nothing there is one with fewer, in the end its own.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from chatfleet_contract.crd import resource
from harness.bounds import REASONS, Bound, at, beyond, bounds, grouped
from harness.kube.chatdeployments import Cause, ChatDeployments, Document, RefusedError
from harness.kube.full_chatdeployment import (
    full_chatdeployment,
    with_bedrock,
    with_identities,
    with_own_redis,
    with_volumes,
)

MINIMAL: Document = yaml.safe_load((Path(__file__).parent / "fixtures" / "minimal.yaml").read_text())
FULL = full_chatdeployment()
FULL_ONES = (FULL, with_own_redis(FULL), with_volumes(FULL), with_bedrock(FULL), *with_identities(FULL))
GROUPS = grouped(bounds(resource(), FULL_ONES, MINIMAL))
RULES = {f"Invalid value: {rule.message}" for _, node in resource().walk() for rule in node.validations or []}
"""What rules say, which is no proof of a bound."""

Send = Callable[[Document], object]
Tried = tuple[Sequence[RefusedError | None], Sequence[Sequence[Cause]]]
"""Of each bound of a group: why the value at it was refused, and what was wrong with the value beyond."""


def try_at(send: Send, group: Sequence[Bound]) -> list[RefusedError | None]:
    try:
        send(at(group))
    except RefusedError as refused:
        if len(group) == 1:
            return [refused]
        middle = len(group) // 2
        return try_at(send, group[:middle]) + try_at(send, group[middle:])
    return [None] * len(group)


def try_beyond(send: Send, group: Sequence[Bound]) -> list[list[Cause]]:
    causes: list[Cause] = []
    try:
        send(beyond(group))
    except RefusedError as refused:
        causes = [cause for cause in refused.causes if cause.message not in RULES]
    if len(group) == 1:
        return [causes]
    return [causes if is_named(bound, causes) else try_beyond(send, [bound])[0] for bound in group]


def is_named(bound: Bound, causes: Sequence[Cause]) -> bool:
    return (REASONS[bound.keyword], bound.field) in {(cause.reason, cause.field) for cause in causes}


@pytest.fixture(scope="module")
def tried(chatdeployments: ChatDeployments) -> Iterator[Callable[[int], Tried]]:
    """Try a group when its first test asks for it; statuses are tried on a document that is there."""
    with chatdeployments.kept({**MINIMAL, "metadata": {"name": "existing"}}) as existing:

        def create(document: Document) -> None:
            chatdeployments.try_create({**document, "metadata": {"generateName": "fixture-"}})

        def replace_status(document: Document) -> None:
            chatdeployments.try_replace_status({**existing, "status": document["status"]})

        @functools.cache
        def try_group(number: int) -> Tried:
            group = GROUPS[number]
            send = replace_status if group[0].path.startswith(".status") else create
            return try_at(send, group), try_beyond(send, group)

        yield try_group


@pytest.mark.parametrize(
    ("number", "position"),
    [
        pytest.param(number, position, id=f"{bound.path}:{bound.keyword}")
        for number, group in enumerate(GROUPS)
        for position, bound in enumerate(group)
    ],
)
def test_a_bound_takes_what_is_at_it_and_refuses_what_is_beyond(
    tried: Callable[[int], Tried], number: int, position: int
) -> None:
    refusals, causes = tried(number)
    assert refusals[position] is None
    assert is_named(GROUPS[number][position], causes[position]), causes[position]
