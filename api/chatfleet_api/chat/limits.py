"""The port of the limits: what a request holds of them until its run has begun, and the run until it has ended."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

from msgspec.structs import replace

from chatfleet_api.chat.reply import Reply
from chatfleet_api.domain.errors import FACTS, ChatError
from chatfleet_api.domain.events import Terminal, Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Held, Quota
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.domain.usage_estimate import BYTES_PER_TOKEN, tokens_of
from chatfleet_api.runs.run import Run

NO_TOKENS: Final = Usage()


class Limits(Protocol):
    """Limits what callers may use."""

    @property
    def idle(self) -> bool:
        """Whether nothing is limited."""
        ...

    @property
    def reserve_tokens(self) -> int:
        """Output tokens to reserve for an answer whose request and model set no maximum."""
        ...

    async def reserve(
        self, principal: Principal, model: str, tokens: Callable[[], int], output: int = 0
    ) -> tuple[Held, Quota] | None:
        """Reserve what a request may use; return what it holds and what is left, None when nothing limits it.

        `tokens` counts its input, and the most that its answer may have, which is `output`.

        Raises:
            ChatError: LIMIT_EXCEEDED, BUDGET_EXHAUSTED (`instead`: the model that may answer), STORAGE_UNAVAILABLE.
        """
        ...

    async def extend(self, tenant: str, held: Held) -> Held | None:
        """Reserve once more the tokens and money that `held` has; None: nothing limits them. Raises as `reserve`."""
        ...

    def adopt(self, tenant: str, held: Held) -> None:
        """Answer for what a run holds that another pod began."""
        ...

    async def settle(self, tenant: str, held: Held, usage: Usage | None) -> None:
        """Charge `usage` in the place of what was reserved, once; None: it is not known. Never raises."""
        ...

    def cancel(self, tenant: str, held: Held) -> None:
        """Give back all but the request itself: no run began."""
        ...

    def close(self, tenant: str, held: Held) -> None:
        """Release what was not settled, whatever became of the run."""
        ...

    def forget(self, tenant: str, held: Held) -> None:
        """Leave what a run holds to the pod that has taken it over."""
        ...


Taken: TypeAlias = tuple[Held | None, Quota | None]


class Reservation:
    """Within its block a request holds what was reserved for it, and gives it back unless a run keeps it."""

    __slots__ = ("_limits", "_quota", "_tenant", "held", "request")

    def __init__(
        self, request: ChatRequest, limits: Limits | None = None, tenant: str = "", taken: Taken = (None, None)
    ) -> None:
        """Hold what was `taken`; without `limits`, nothing is."""
        held, quota = taken
        self.request = request
        """With the model that answers: another one than was requested where a budget is exhausted."""
        self._limits = limits
        self._tenant = tenant
        self._quota = quota
        self.held = held

    def keep(self, run: Run) -> Run:
        """Leave what was reserved to `run`, and show its client what is left."""
        run.quota = self._quota
        self._limits = None
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._limits is not None and self.held is not None:
            self._limits.cancel(self._tenant, self.held)


class Share:
    """Within its block a run holds its share of its caller's limits, and does not leave it without releasing it."""

    __slots__ = ("_further", "_held", "_limits", "_tenant")

    def __init__(self, limits: Limits | None, tenant: str, held: Held | None) -> None:
        self._limits = None if held is None else limits
        self._tenant = tenant
        self._held = held
        self._further: list[Held] = []
        """What is held for further requests to the model, until all that they have used is charged."""

    async def extend(self) -> None:
        """Reserve what one more request to the model may use; raises as `reserved`."""
        if self._limits is not None and self._held is not None:
            further = await self._limits.extend(self._tenant, self._held)
            if further is not None:
                self._further.append(further)

    async def settle(self, usage: Usage) -> None:
        """Charge `usage`, and release the rest."""
        if self._limits is not None and self._held is not None:
            await self._limits.settle(self._tenant, self._held, usage)
            self._release()

    def forget(self) -> None:
        """Leave it to the pod that has taken the run over."""
        if self._limits is not None and self._held is not None:
            self._limits.forget(self._tenant, self._held)
            self._release()

    def _release(self) -> None:
        while self._limits is not None and self._further:
            self._limits.cancel(self._tenant, self._further.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._limits is not None and self._held is not None:
            self._limits.close(self._tenant, self._held)
            self._release()


NOTHING: Final = Share(None, "", None)


async def reserved(
    limits: Limits | None, principal: Principal, request: ChatRequest, *, max_tokens: Callable[[str], int | None]
) -> Reservation:
    """Reserve what `request` may use, or with the model that answers instead; `max_tokens` is the default of a model.

    Raises:
        ChatError: LIMIT_EXCEEDED, BUDGET_EXHAUSTED, STORAGE_UNAVAILABLE.
    """
    if limits is None or limits.idle:
        return Reservation(request)
    try:
        return await _reserved(limits, principal, request, max_tokens)
    except ChatError as error:
        if error.instead is None or error.instead == request.model or not principal.may_use(error.instead):
            raise
        return await _reserved(limits, principal, replace(request, model=error.instead), max_tokens)


async def _reserved(
    limits: Limits, principal: Principal, request: ChatRequest, max_tokens: Callable[[str], int | None]
) -> Reservation:
    most = request.max_tokens or max_tokens(request.model) or limits.reserve_tokens
    found = await limits.reserve(principal, request.model, lambda: tokens_of(request) + most, most)
    return Reservation(request) if found is None else Reservation(request, limits, principal.tenant, found)


async def held_for(limits: Limits | None, principal: Principal, model: str, tokens: Callable[[], int]) -> Held | None:
    """Reserve what a request without an answer in tokens may use; raises as `reserved` does."""
    found = None if limits is None or limits.idle else await limits.reserve(principal, model, tokens)
    return None if found is None else found[0]


def share_of(limits: Limits | None, tenant: str, held: Held | None) -> Share:
    """Return what a run holds."""
    return NOTHING if held is None else Share(limits, tenant, held)


def tokens_used(request: ChatRequest, reply: Reply, end: Terminal) -> Usage:
    """Return the tokens of an answer: the provider's numbers, or an estimate of one that ended early."""
    if end.usage is not None:
        return NO_TOKENS if end.usage.cached else end.usage
    if reply.first_token_ms is None and FACTS[end.code].outcome == "failed":
        return NO_TOKENS  # no provider has answered
    written = len(reply.text) + len(reply.reasoning or "")
    return Usage(tokens_of(request), -(-written // BYTES_PER_TOKEN), estimated=True)
