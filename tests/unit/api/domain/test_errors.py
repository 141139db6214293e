"""The one table of failures: a row for every code, the class of its exceptions, and columns that agree."""

import pytest

from chatfleet_api.domain.errors import FACTS, ChatError, Code, OverloadedError, UpstreamError


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_row_which_decides_on_the_class_of_its_exceptions(code: Code) -> None:
    error = ChatError(code, param="messages", retry_after=2.0)
    assert type(error) is FACTS[code].error
    assert (error.code, error.param, error.retry_after, error.facts) == (code, "messages", 2.0, FACTS[code])


@pytest.mark.parametrize("code", Code)
def test_only_data_that_cannot_be_parsed_means_something_else_once_the_answer_began(code: Code) -> None:
    error = ChatError(code)
    error.answered = True
    assert (error.facts != FACTS[code]) is (code is Code.UPSTREAM_MALFORMED)


def test_nobody_repeats_a_request_whose_answer_began_and_became_unreadable() -> None:
    error = ChatError(Code.UPSTREAM_MALFORMED)
    error.answered = True
    facts = error.facts
    assert not any((facts.retryable, facts.retry_upstream, facts.trips_breaker, facts.try_fallback))


@pytest.mark.parametrize("code", Code)
def test_what_a_pod_tries_again_a_client_may_try_again(code: Code) -> None:
    facts = FACTS[code]
    assert facts.retryable or not (facts.retry_upstream or facts.trips_breaker or facts.another_pod)


@pytest.mark.parametrize("code", Code)
def test_only_failures_of_the_upstream_count_for_its_circuit_breaker(code: Code) -> None:
    facts = FACTS[code]
    assert facts.error is UpstreamError or not facts.trips_breaker
    assert facts.error is OverloadedError or not facts.another_pod


@pytest.mark.parametrize("code", Code)
def test_messages_and_remedies_are_sentences(code: Code) -> None:
    for sentence in (FACTS[code].message, FACTS[code].suggested_action):
        assert sentence.endswith(".")
        assert len(sentence) <= 100


def test_a_subclass_of_ones_own_stays_what_it_is() -> None:
    class Moved(ChatError):  # noqa: N818  # as the run log has one
        def __init__(self) -> None:
            super().__init__(Code.DRAINING)

    assert type(Moved()) is Moved
