"""The next model answers when one cannot be opened."""

import pytest
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import Affinity
from chatfleet_api.providers.policies.fallback import Fallback
from harness.upstream.catalogue import HELLO, ask
from harness.upstream.plays import ANSWER, Playing, overloaded

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    "code", [Code.UPSTREAM_OVERLOADED, Code.UPSTREAM_AUTHENTICATION, Code.MODEL_NOT_FOUND, Code.AT_CAPACITY]
)
async def test_the_next_one_answers_when_one_cannot(code: Code) -> None:
    second = Playing(ANSWER)
    outcome = await ask(Fallback([Playing((ChatError(code),)), second]))
    assert (outcome.text, outcome.error) == ("ab", None)


@pytest.mark.parametrize("code", [Code.INVALID_REQUEST, Code.UPSTREAM_REJECTED, Code.CONTEXT_TOO_LONG])
async def test_the_callers_mistakes_are_told_and_not_repeated(code: Code) -> None:
    second = Playing(ANSWER)
    assert (await ask(Fallback([Playing((ChatError(code),)), second]))).code is code
    assert second.asked == []


async def test_nobody_takes_over_once_a_piece_has_come() -> None:
    second = Playing(ANSWER)
    outcome = await ask(Fallback([Playing(((Token("x"),), overloaded())), second]))
    assert (outcome.text, outcome.code, second.asked) == ("x", Code.UPSTREAM_OVERLOADED, [])


async def test_when_all_fail_the_failure_of_the_chosen_one_is_told_with_a_note_of_the_others() -> None:
    others = [Playing((ChatError(code),)) for code in (Code.UPSTREAM_AUTHENTICATION, Code.UPSTREAM_REJECTED)]
    outcome = await ask(Fallback([Playing((overloaded(),)), *others]))
    assert outcome.code is Code.UPSTREAM_OVERLOADED
    assert outcome.error is not None
    assert [note.split(": ")[1] for note in outcome.error.__notes__] == ["upstream_authentication", "upstream_rejected"]


async def test_a_conversation_stays_with_the_model_that_may_have_its_prompt_in_a_cache() -> None:
    names = [("up", "a"), ("other", "a"), ("other", "b")]
    chain = [Playing(ANSWER) for _ in names]
    stays = replace(HELLO, affinity=Affinity("c", "other", "b"))
    assert (await ask(Fallback(chain, names), stays)).text == "ab"
    assert [len(each.asked) for each in chain] == [0, 0, 1]


async def test_it_goes_through_the_chain_from_its_beginning_when_that_model_fails() -> None:
    names = [("up", "a"), ("other", "a"), ("other", "b")]
    chain = [Playing(ANSWER), Playing(ANSWER), Playing((overloaded(),))]
    assert (await ask(Fallback(chain, names), replace(HELLO, affinity=Affinity("c", "other", "b")))).text == "ab"
    assert [len(each.asked) for each in chain] == [1, 0, 1]


@pytest.mark.parametrize("affinity", [None, Affinity("c"), Affinity("c", "up", "a"), Affinity("c", "gone", "a")])
async def test_any_other_conversation_begins_with_the_first(affinity: Affinity | None) -> None:
    chain = [Playing(ANSWER), Playing(ANSWER)]
    await ask(Fallback(chain, [("up", "a"), ("other", "a")]), replace(HELLO, affinity=affinity))
    assert [len(each.asked) for each in chain] == [1, 0]
