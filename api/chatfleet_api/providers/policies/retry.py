"""Tries again what may succeed the next time, as long as nobody has seen a token of it."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.stop import stop_base
from typing_extensions import override

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.policies.retry_budget import RetryBudget
from chatfleet_api.providers.provider import Piece, Provider
from chatfleet_contract.providers import Retries

MAX_RETRY_AFTER: Final = 30.0
"""Seconds. Who asks for a longer pause is not asked again: the caller is told to come back then."""

MAX_JITTER: Final = 0.25
"""Largest share that chance adds to a pause, so that pods which failed together do not return together."""

_Batches: TypeAlias = AsyncGenerator[Sequence[Piece], None]


class Retrying:
    """A `Provider` that tries again, after growing pauses, while no piece of the answer has come."""

    def __init__(
        self,
        inner: Provider,
        retries: Retries,
        *,
        retried: Callable[[Code], None],
        budget: RetryBudget,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Tell `retried` of each retry, each paid from `budget`; `chance` returns a number from 0 to 1."""
        self._inner = inner
        self._retries = retries
        self._retried = retried
        self._budget = budget
        self._chance = chance

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask until an answer begins, and yield it as it comes."""
        self._budget.earn()
        try:
            first, batches = await self._begin(request)
        except ChatError as error:
            if not is_passing(error):
                raise
            first, batches = await self._again(request, error)
        async with aclosing(batches):
            yield first
            async for pieces in batches:
                yield pieces

    async def check(self) -> None:
        """Check the upstream, once."""
        await self._inner.check()

    async def _begin(self, request: ChatRequest) -> tuple[Sequence[Piece], _Batches]:
        """Return the first batch, and what follows. A generator that fails or is cancelled here has closed itself."""
        batches = self._inner.stream(request)
        return await anext(batches), batches

    async def _again(self, request: ChatRequest, failure: ChatError) -> tuple[Sequence[Piece], _Batches]:
        """Go on after a first attempt that ended in `failure`. Most requests never come here, and pay nothing."""
        failed = [failure]

        async def begin() -> tuple[Sequence[Piece], _Batches]:
            if failed:
                raise failed.pop()
            return await self._begin(request)

        attempts = AsyncRetrying(
            stop=stop_after_attempt(self._retries.max + 1) | _Spent(self._budget),
            retry=retry_if_exception(is_passing),
            wait=self._wait,
            before_sleep=self._tell,
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await attempts(begin)

    def _wait(self, state: RetryCallState) -> float:
        return pause(self._retries, state.attempt_number, _failure(state), self._chance())

    def _tell(self, state: RetryCallState) -> None:
        self._retried(_failure(state).code)


class _Spent(stop_base):
    """Stops when the budget has no retry left, and takes one off when it has."""

    def __init__(self, budget: RetryBudget) -> None:
        self._budget = budget

    @override
    def __call__(self, retry_state: RetryCallState) -> bool:
        return not self._budget.spend()


def is_passing(error: BaseException) -> bool:
    """Return whether the same request may soon succeed at the same upstream."""
    return (
        isinstance(error, ChatError)
        and error.facts.retry_upstream
        and (error.retry_after is None or error.retry_after <= MAX_RETRY_AFTER)
    )


def pause(retries: Retries, attempt: int, error: ChatError, chance: float) -> float:
    """Return the seconds to wait after attempt number `attempt` (from 1): what the upstream asked for, or doubling."""
    seconds = min(retries.initial_seconds * 2.0 ** (attempt - 1), retries.max_seconds)
    if error.retry_after is not None:
        seconds = error.retry_after
    return seconds * (1 + MAX_JITTER * chance)


def _failure(state: RetryCallState) -> ChatError:
    """Return why the attempt failed: `is_passing` has let nothing but a `ChatError` through."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, ChatError)  # noqa: S101  # for the type checker
    return error
