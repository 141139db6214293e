"""Retries with back-off: opens again what may succeed the next time, as long as no client has seen a token of it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_base
from typing_extensions import override

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_api.providers.provider import DeferredOpening, EnteredStream, Opening, Provider, enter
from chatfleet_contract.spec.providers import Retries

MAX_RETRY_AFTER: Final = 30.0
"""Seconds. After a longer Retry-After the pod does not retry; the client gets it as its own Retry-After."""

MAX_JITTER: Final = 0.25
"""Largest share that is added to a pause at random, so that pods which failed together do not return together."""


class Retrying:
    """A `Provider` that tries to open again, after growing pauses, as long as no item of the answer has come."""

    def __init__(
        self,
        inner: Provider,
        retries: Retries,
        *,
        on_retry: Callable[[Code], None],
        budget: RetryBudget,
        rand: Callable[[], float],
    ) -> None:
        """Call `on_retry` for each retry, each paid from `budget`; `rand` returns a number from 0 to 1."""
        self._inner = inner
        self._retries = retries
        self._on_retry = on_retry
        self._budget = budget
        self._rand = rand

    def open(self, request: ChatRequest) -> Opening:
        return DeferredOpening(partial(self._open, request))

    async def _open(self, request: ChatRequest) -> EnteredStream:
        self._budget.deposit()
        try:
            return await enter(self._inner.open(request))
        except ChatError as error:
            if not is_transient(error):
                raise
            failure = error
        return await self._retry(request, failure)

    async def _retry(self, request: ChatRequest, failure: ChatError) -> EnteredStream:
        """Go on after a first attempt that ended in `failure`. Most requests never come here, and pay nothing."""
        failed = [failure]

        async def attempt() -> EnteredStream:
            if failed:
                raise failed.pop()
            return await enter(self._inner.open(request))

        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._retries.max + 1) | _Spent(self._budget),
            retry=retry_if_exception(is_transient),
            wait=self._wait,
            before_sleep=self._report,
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await attempts(attempt)

    def _wait(self, state: RetryCallState) -> float:
        return backoff(self._retries, state.attempt_number, _failure(state), self._rand())

    def _report(self, state: RetryCallState) -> None:
        self._on_retry(_failure(state).code)


class _Spent(stop_base):
    """Stops when the budget has no retry left, and takes one off when it has."""

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return not self._budget.withdraw()


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may soon succeed at the same upstream."""
    return (
        isinstance(error, ChatError)
        and error.facts.retry_upstream
        and not error.final
        and (error.retry_after is None or error.retry_after <= MAX_RETRY_AFTER)
    )


def backoff(retries: Retries, attempt: int, error: ChatError, rand: float) -> float:
    """Return the seconds to wait after attempt number `attempt` (from 1): its Retry-After, or doubling."""
    seconds = min(retries.initial_seconds * 2.0 ** (attempt - 1), retries.max_seconds)
    if error.retry_after is not None:
        seconds = error.retry_after
    return seconds * (1 + MAX_JITTER * rand)


def _failure(state: RetryCallState) -> ChatError:
    """Return why the attempt failed: `is_transient` has let nothing but a `ChatError` through."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, ChatError)  # noqa: S101  # for the type checker
    return error
