"""The provider's own quota: after a 429 with the time to wait, no pod sends requests to that model until then.

A pause is of one model of one provider, and of the whole fleet. While it lasts, a request goes to its fallback at once;
without one it waits, if the pause is short enough. When it ends, one request of the fleet is the probe: the answer to
it lets all others through, or begins the next pause.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.provider import DeferredOpening, EnteredStream, Opening, Provider, enter
from chatfleet_contract.spec.providers import Retries

LONGEST_PAUSE_SECONDS: Final = 300.0
"""A longer one is probed every so often: ten years are not believed."""
LEASE_SECONDS: Final = 5.0
"""After so long without an answer to a probe, or because its pod has died, another may be made."""
NEWS_SECONDS: Final = 0.25
"""A pause that ends less than so much later than the one that is known is no news."""
PATIENCE_SECONDS: Final = 30.0
"""Longest that a request waits for the end of a pause."""
_RETRY_AFTER: Final = 1.0

T = TypeVar("T")


class Scope(NamedTuple):
    """What a pause is about."""

    provider: str
    model: str
    """The provider's own name of it."""


class Fleet(Protocol):
    """The other pods. Nothing here raises; without them, each method does what is right for one pod alone."""

    def paused(self, scope: Scope, seconds: float) -> None:
        """Let them know of a pause."""
        ...

    def resumed(self, scope: Scope) -> None:
        """Let them know that our probe was answered."""
        ...

    def released(self, scope: Scope) -> None:
        """Let another probe be made, since ours has shown nothing."""
        ...

    def circuit_opened(self, provider: str) -> None:
        """Let them know that our circuit breaker has opened."""
        ...

    async def probe(self, scope: Scope) -> float | None:
        """Return the seconds until a probe may be made; 0: this pod makes it now; None: there is no pause."""
        ...


class Alone:
    """A `Fleet` of one pod."""

    def paused(self, scope: Scope, seconds: float) -> None: ...

    def resumed(self, scope: Scope) -> None: ...

    def released(self, scope: Scope) -> None: ...

    def circuit_opened(self, provider: str) -> None: ...

    async def probe(self, scope: Scope) -> float | None:  # noqa: ARG002  # the port's
        return 0.0


class StillPaused(Exception):  # noqa: N818  # not an error: the request goes back to waiting
    """A pause began while a request waited for its slot."""


class Quota:
    """The pause of one model, as far as this pod knows."""

    def __init__(
        self, scope: Scope, fleet: Callable[[], Fleet], *, on_pause: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        """Call `on_pause` whenever an answer of the upstream to this pod begins a pause."""
        self._scope = scope
        self._fleet = fleet
        self._on_pause = on_pause
        self._clock = clock
        self._until: float | None = None
        self._probe: object | None = None
        self._probe_until = 0.0
        self._news = asyncio.Event()

    @property
    def paused(self) -> bool:
        """Whether no requests are made, but for probes."""
        return self._until is not None

    def pause(self, seconds: float) -> None:
        """Take over a pause of the fleet, unless a longer one is known; one that has ended awaits its probe."""
        until = self._clock() + min(max(seconds, 0.0), LONGEST_PAUSE_SECONDS)
        if self._until is None or (seconds > 0 and until > self._until):
            self._set(until)

    def resume(self) -> None:
        """Let all requests through, since a pod's probe was answered."""
        if self._until is not None:
            self._set(None)

    def free_probe(self) -> None:
        """Let this pod's next request try to become the probe: another pod's has shown nothing."""
        if self._until is not None and self._probe is None:
            self._set(min(self._until, self._clock()))

    async def attempt(self, patience: float, operation: Callable[[], Awaitable[T]]) -> T:
        """Return what `operation`, one attempt at the upstream, returns; wait up to `patience` for it to be allowed.

        Raises:
            ChatError: UPSTREAM_RATE_LIMITED, with the time to try again; or what `operation` raises.
        """
        while True:
            probe = None if self._until is None else await self._admitted(patience)
            if probe is not None:
                return await self._probed(probe, patience, operation)
            try:
                return await operation()
            except StillPaused:
                continue
            except ChatError as error:
                self._judge(error, patience)
                raise

    def require_resumed(self) -> None:
        """Raise `StillPaused` when a pause has begun; the probe may go on."""
        if self._until is not None and _PROBE.get() != (self, self._probe):
            raise StillPaused

    def answered(self, probe: object) -> None:
        """End the pause, because the upstream has accepted the probe."""
        if self._probe is probe:
            self._set(None)
            self._fleet().resumed(self._scope)

    async def _admitted(self, patience: float) -> object | None:
        """Return when there is no pause any more, with None, or when this request is the probe, with its mark."""
        deadline = self._clock() + patience
        while self._until is not None:
            left = self._until - self._clock()
            if left <= 0 and self._probe is not None:
                left = self._probe_until - self._clock()
            if left <= 0:
                if (probe := await self._begin_probe()) is not None:
                    return probe
                continue
            remaining = deadline - self._clock()
            if (self._probe is None and left > remaining) or remaining <= 0:
                raise _limited(max(left, _RETRY_AFTER))
            await self._wait(min(left, remaining))
        return None

    async def _begin_probe(self) -> object | None:
        probe = self._probe = object()
        self._probe_until = self._clock() + LEASE_SECONDS
        try:
            wait = await self._fleet().probe(self._scope)
        except BaseException:  # cancellation too: the next request may be the probe
            self._end_probe(probe)
            raise
        if self._probe is not probe:  # what came meanwhile is newer
            return None
        if wait == 0:
            return probe
        self._set(None if wait is None else self._clock() + min(wait, LONGEST_PAUSE_SECONDS))
        return None

    async def _probed(self, probe: object, patience: float, operation: Callable[[], Awaitable[T]]) -> T:
        token = _PROBE.set((self, probe))
        try:
            found = await operation()
        except BaseException as error:  # cancellation too: the next request may be the probe
            if isinstance(error, ChatError):
                self._judge(error, patience)
            if self._end_probe(probe):
                self._fleet().released(self._scope)
            raise
        finally:
            _PROBE.reset(token)
        self.answered(probe)
        return found

    def _end_probe(self, probe: object) -> bool:
        """Let another probe be made; return whether this one was under way until now."""
        if self._probe is not probe:
            return False
        self._set(self._until)
        return True

    def _judge(self, error: ChatError, patience: float) -> None:
        """Begin a pause if the upstream demands one."""
        if error.code is not Code.UPSTREAM_RATE_LIMITED or not error.retry_after:
            return
        error.final = error.final or not patience
        seconds = min(error.retry_after, LONGEST_PAUSE_SECONDS)
        until = self._clock() + seconds
        if self._until is None or until > self._until + NEWS_SECONDS:
            self._set(until)
            self._on_pause()
            self._fleet().paused(self._scope, seconds)

    def _set(self, until: float | None) -> None:
        self._until, self._probe = until, None
        self._news.set()
        self._news = asyncio.Event()

    async def _wait(self, seconds: float) -> None:
        """Return when something has changed, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return


_PROBE: Final[ContextVar[tuple[Quota, object | None] | None]] = ContextVar("probe", default=None)
"""The probe that this task makes, and of which quota."""


def answering() -> None:
    """Note that the upstream has accepted the request under way: if it is a probe, its first token is not awaited."""
    if (found := _PROBE.get()) is not None:
        quota, probe = found
        quota.answered(probe)


def patience(retries: Retries) -> float:
    """Return how long a request may wait for the end of a pause: not at all without retries."""
    return PATIENCE_SECONDS if retries.max else 0.0


def _limited(seconds: float) -> ChatError:
    error = ChatError(
        Code.UPSTREAM_RATE_LIMITED, retry_after=seconds, detail="the fleet waits for the provider's quota"
    )
    error.final = True
    return error


class QuotaKeeping:
    """A `Provider` that opens nothing while the upstream's quota is used up."""

    def __init__(self, inner: Provider, quota: Quota, *, patience: float) -> None:
        """Wait up to `patience` for the end of a pause."""
        self._inner = inner
        self._quota = quota
        self._patience = patience

    def open(self, request: ChatRequest) -> Opening:
        return DeferredOpening(partial(self._open, request))

    async def _open(self, request: ChatRequest) -> EnteredStream:
        return await self._quota.attempt(self._patience, lambda: enter(self._inner.open(request)))


class QuotaChecked:
    """A `Provider` next to the upstream, for requests that have waited for a slot since they were let through."""

    def __init__(self, inner: Provider, quota: Quota) -> None:
        self._inner = inner
        self._quota = quota

    def open(self, request: ChatRequest) -> Opening:
        self._quota.require_resumed()
        return self._inner.open(request)
