"""What requests show of the models of an upstream: which failures count, from when on, and for how long."""

from contextlib import suppress

import pytest
from pydantic import SecretStr

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.outcomes import (
    FAILING_SECONDS,
    FAILURES,
    LASTING_SECONDS,
    MAX_REASON_CHARS,
    TRANSIENT_SECONDS,
    Outcomes,
    Verdict,
)
from chatfleet_contract.report import ModelOutcome, State
from chatfleet_contract.spec.providers import Compatibility
from harness.clock import ManualClock

NONE = Verdict(None, down=False)
KEY = SecretStr("k")


class Upstream:
    """Outcomes on a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.rechecks = 0
        self.outcomes = Outcomes(Compatibility(), self.clock, self._recheck)

    def _recheck(self) -> None:
        self.rechecks += 1

    def fail(self, code: Code, status: int, *, model: str = "a", words: str = "no") -> None:
        with suppress(ChatError), self.outcomes.attempt(model) as attempt:
            attempt.key, attempt.status = KEY, status
            raise ChatError(code, detail=f"HTTP {status}: {words}")

    def is_down(self, model: str = "a") -> bool:
        outcome = self.outcomes.outcome(model)
        return outcome is not None and outcome.state is State.DOWN


def test_nothing_is_known_of_a_model_without_requests() -> None:
    upstream = Upstream()
    assert upstream.outcomes.outcome("a") is None
    assert upstream.outcomes.verdict() == NONE


CERTAIN = [
    pytest.param(Code.UPSTREAM_AUTHENTICATION, 401, "no", id="the key"),
    pytest.param(Code.UPSTREAM_AUTHENTICATION, 429, "insufficient_quota", id="a spent quota"),
    pytest.param(Code.UPSTREAM_AUTHENTICATION, 0, "the API key file cannot be read", id="no key"),
    pytest.param(Code.UPSTREAM_REJECTED, 400, "This model cannot be streamed.", id="a part of every request"),
]


@pytest.mark.parametrize(("code", "status", "words"), CERTAIN)
def test_a_failure_that_is_certain_to_repeat_counts_at_once(code: Code, status: int, words: str) -> None:
    upstream = Upstream()
    upstream.fail(code, status, words=words)
    upstream.clock.now += 1
    assert upstream.outcomes.outcome("a") == ModelOutcome(
        state=State.DOWN, message=f"HTTP {status}: {words}", seconds=1, failing_seconds=1
    )
    assert upstream.outcomes.verdict().down
    assert upstream.rechecks == 1


LASTING = [(Code.UPSTREAM_AUTHENTICATION, 402), (Code.UPSTREAM_AUTHENTICATION, 403), (Code.MODEL_NOT_FOUND, 404)]


@pytest.mark.parametrize(("code", "status"), [*LASTING, (Code.UPSTREAM_REJECTED, 405)])
def test_a_failure_that_may_be_about_one_request_counts_when_it_repeats(code: Code, status: int) -> None:
    upstream = Upstream()
    for _ in range(FAILURES - 1):
        upstream.fail(code, status)
        assert not upstream.is_down()
    assert upstream.outcomes.verdict().reasons
    upstream.fail(code, status)
    assert upstream.is_down()
    upstream.clock.now += LASTING_SECONDS
    assert upstream.is_down()
    upstream.clock.now += 1
    assert not upstream.is_down()


TRANSIENT = [
    (Code.UPSTREAM_RATE_LIMITED, 429),
    (Code.UPSTREAM_OVERLOADED, 529),
    (Code.UPSTREAM_ERROR, 500),
    (Code.UPSTREAM_UNAVAILABLE, 502),
    (Code.UPSTREAM_TIMEOUT, 0),
    (Code.UPSTREAM_MALFORMED, 200),
]


@pytest.mark.parametrize(("code", "status"), TRANSIENT)
def test_a_failure_that_may_pass_counts_when_it_lasts(code: Code, status: int) -> None:
    upstream = Upstream()
    for _ in range(20):
        upstream.fail(code, status)
    assert not upstream.is_down()
    upstream.clock.now += FAILING_SECONDS
    upstream.fail(code, status)
    assert upstream.is_down()
    assert upstream.outcomes.verdict() == NONE
    upstream.clock.now += TRANSIENT_SECONDS + 1
    assert not upstream.is_down()
    upstream.fail(code, status)
    assert not upstream.is_down()


def test_one_answer_ends_a_row_of_failures() -> None:
    upstream = Upstream()
    for _ in range(FAILURES):
        upstream.fail(Code.MODEL_NOT_FOUND, 404)
    with upstream.outcomes.attempt("a") as attempt:
        attempt.answered()
    assert upstream.rechecks == FAILURES + 1
    upstream.clock.now += 2
    assert upstream.outcomes.outcome("a") == ModelOutcome(state=State.UP, seconds=2)
    upstream.fail(Code.MODEL_NOT_FOUND, 404)
    assert upstream.outcomes.outcome("a") is None


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.UPSTREAM_REJECTED, 400),
        (Code.CONTEXT_TOO_LONG, 413),
        (Code.CONTENT_FILTERED, 400),
        (Code.UPSTREAM_UNAVAILABLE, 0),
    ],
)
def test_what_is_about_one_request_or_this_pod_alone_does_not_count(code: Code, status: int) -> None:
    upstream = Upstream()
    with upstream.outcomes.attempt("a") as attempt:
        attempt.answered()
    for _ in range(FAILURES):
        upstream.fail(code, status)
        upstream.clock.now += FAILING_SECONDS
    assert not upstream.is_down()
    assert upstream.outcomes.is_answered("a")


@pytest.mark.parametrize(
    ("code", "status", "checks"),
    [
        (Code.UPSTREAM_AUTHENTICATION, 403, 1),
        (Code.MODEL_NOT_FOUND, 404, 1),
        (Code.UPSTREAM_UNAVAILABLE, 0, 1),
        (Code.UPSTREAM_RATE_LIMITED, 429, 0),
    ],
)
def test_a_check_is_requested_where_it_may_see_the_cause(code: Code, status: int, checks: int) -> None:
    upstream = Upstream()
    upstream.fail(code, status)
    assert upstream.rechecks == checks


def test_a_cut_after_the_answer_began_is_no_failure_of_the_model() -> None:
    upstream = Upstream()
    for _ in range(FAILURES):
        with suppress(ChatError), upstream.outcomes.attempt("a") as attempt:
            attempt.answered()
            raise ChatError(Code.UPSTREAM_TRUNCATED)
    assert upstream.outcomes.is_answered("a")


def test_a_failure_with_another_key_is_forgotten_and_any_that_lasts_when_the_key_is_accepted_again() -> None:
    upstream = Upstream()
    upstream.fail(Code.UPSTREAM_AUTHENTICATION, 401)
    upstream.outcomes.checked(KEY, recovered=False)
    assert upstream.is_down()
    upstream.outcomes.checked(SecretStr("new"), recovered=False)
    assert not upstream.is_down()
    upstream.fail(Code.UPSTREAM_AUTHENTICATION, 401)
    upstream.outcomes.checked(KEY, recovered=True)
    assert not upstream.is_down()


def test_a_request_without_credentials_is_forgotten_when_a_check_has_some() -> None:
    """A check that was not there when they were missing cannot have seen that they are back."""
    upstream = Upstream()
    upstream.fail(Code.UPSTREAM_AUTHENTICATION, 0, words="the exchange was refused")
    upstream.fail(Code.UPSTREAM_AUTHENTICATION, 401, model="b")
    upstream.outcomes.checked(KEY, recovered=False)
    assert (upstream.is_down("a"), upstream.is_down("b")) == (False, True)


def test_a_model_that_the_vendor_does_not_have_is_down_until_it_has_it_or_answers() -> None:
    upstream = Upstream()
    upstream.outcomes.listed(absent=["a"], unlisted=["a"])
    upstream.clock.now += 5
    upstream.outcomes.listed(absent=["a"], unlisted=["a"])
    message = "the provider has no model a; correct the name of the model"
    assert upstream.outcomes.outcome("a") == ModelOutcome(
        state=State.DOWN, message=message, seconds=5, failing_seconds=5
    )
    upstream.outcomes.listed(absent=[], unlisted=[])
    assert upstream.outcomes.outcome("a") is None
    upstream.outcomes.listed(absent=["a"], unlisted=["a"])
    with upstream.outcomes.attempt("a") as attempt:
        attempt.answered()
    assert not upstream.is_down()


def test_the_first_404_of_a_model_that_is_not_listed_counts() -> None:
    upstream = Upstream()
    upstream.outcomes.listed(absent=[], unlisted=["a"])
    upstream.fail(Code.MODEL_NOT_FOUND, 404)
    assert upstream.is_down()


def test_an_upstream_is_down_only_when_all_that_was_requested_fails() -> None:
    upstream = Upstream()
    upstream.fail(Code.UPSTREAM_AUTHENTICATION, 401)
    assert upstream.outcomes.verdict() == Verdict("requests for model a fail: HTTP 401: no", down=True)
    upstream.fail(Code.MODEL_NOT_FOUND, 404, model="b")
    assert not upstream.outcomes.verdict().down
    upstream.outcomes.answered("b")
    assert upstream.outcomes.verdict() == Verdict("requests for model a fail: HTTP 401: no", down=False)


def test_what_is_reported_is_bounded() -> None:
    upstream = Upstream()
    for number in range(100):
        upstream.fail(Code.UPSTREAM_AUTHENTICATION, 401, model=f"m-{number}", words="x" * 10_000)
    outcome, reasons = upstream.outcomes.outcome("m-0"), upstream.outcomes.verdict().reasons
    assert outcome
    assert len(outcome.message or "") == MAX_REASON_CHARS
    assert reasons
    assert reasons.endswith("98 more models fail")
    assert len(reasons) < 3 * MAX_REASON_CHARS
