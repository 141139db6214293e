"""Reserves what a request may use before its run begins, and settles what its answer used at the end.

All pods decide together, in Redis. While that is unreachable, each pod allows its share of the limits (`local`) or
refuses (`reject`); what it allowed is charged when Redis returns. A pod without Redis decides alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Demand, Held, Quota
from chatfleet_api.limits.buckets import Buckets
from chatfleet_api.limits.plan import Cost, Plan, shared
from chatfleet_api.limits.together import SETTLE_SECONDS, Together
from chatfleet_api.limits.verdict import SECOND, quota, refusal
from chatfleet_contract.spec import Limits

UNREACHABLE_RETRY_SECONDS: Final = 2.0
"""Retry-After while Redis is unreachable and requests are refused."""


class Limiter:
    """The limits of a pod, as the current configuration has them."""

    def __init__(
        self,
        limits: Live[Limits],
        together: Together | None,
        *,
        pods: Callable[[], int],
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """Decide `together`, or alone without; `pods` is the number that was last seen."""
        self._limits = limits
        self._plan = Plan(limits())
        self._together = together
        self._pods = pods
        self._clock = clock
        self._new_id = new_id
        self._buckets = Buckets()

    @property
    def idle(self) -> bool:
        """Whether nothing is limited."""
        return self._current().idle

    async def reserve(self, principal: Principal, model: str, tokens: Cost) -> tuple[Held, Quota] | None:
        """Reserve what a request may use; return what it holds and what is left, None when nothing limits it.

        Raises:
            ChatError: LIMIT_EXCEEDED; STORAGE_UNAVAILABLE where `onRedisAway` is `reject`.
        """
        plan, tenant = self._current(), principal.tenant
        demands = plan.demands(principal, model, tokens)
        if not demands:
            return None
        held = Held(self._new_id(), demands)
        if self._together is None:
            return self._alone(tenant, held, demands)
        verdict = await self._together.reserve(tenant, held)
        if verdict is None:
            if plan.limits.on_redis_away == "reject":
                raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=UNREACHABLE_RETRY_SECONDS)
            held = Held(held.lease, demands, local=True)
            return self._alone(tenant, held, shared(demands, max(self._pods(), 1)))
        if verdict.refused is not None:
            raise refusal(demands, verdict)
        self.adopt(tenant, held)
        return held, quota(demands, verdict.left)

    def adopt(self, tenant: str, held: Held) -> None:
        """Answer for what a run holds: one that begins here, or that another pod began."""
        self._buckets.hold(tenant, held.lease, held.demands)
        if self._together is not None:
            self._together.adopt(tenant, held)

    async def settle(self, tenant: str, held: Held, usage: Usage | None) -> None:
        """Charge `usage`, and release the rest, once; None: it is not known, and all that was reserved is charged.

        Never raises, and waits no longer than `SETTLE_SECONDS`.
        """
        tokens = None if usage is None else usage.input_tokens + usage.output_tokens
        if task := self._settle(tenant, held, tokens):
            await asyncio.wait((task,), timeout=SETTLE_SECONDS)

    def cancel(self, tenant: str, held: Held) -> None:
        """Give back all but the request itself: no run began."""
        self._settle(tenant, held, 0)

    def close(self, tenant: str, held: Held) -> None:
        """Release the streams if that was not done: whatever became of the run."""
        self._settle(tenant, held, None)

    def forget(self, tenant: str, held: Held) -> None:
        """Leave what a run holds to the pod that has taken it over."""
        self._release(tenant, held, [each.cost for each in held.demands])
        if self._together is not None:
            self._together.forget(held)

    def _alone(self, tenant: str, held: Held, demands: Sequence[Demand]) -> tuple[Held, Quota]:
        self._buckets.prune(self._now())
        verdict = self._buckets.reserve(tenant, held.lease, demands, self._now())
        if verdict.refused is not None:
            raise refusal(demands, verdict)
        self.adopt(tenant, held)
        return held, quota(demands, verdict.left)

    def _settle(self, tenant: str, held: Held, tokens: int | None) -> "asyncio.Task[None] | None":
        spent = tuple(each.cost if each.unit != "tokens" or tokens is None else tokens for each in held.demands)
        self._release(tenant, held, spent)
        return None if self._together is None else self._together.settle(tenant, held, spent)

    def _release(self, tenant: str, held: Held, spent: Sequence[int]) -> None:
        by_meter = [(each.meter, used) for each, used in zip(held.demands, spent, strict=True)]
        self._buckets.settle(tenant, held.lease, by_meter, self._now())

    def _current(self) -> Plan:
        limits = self._limits()
        if limits is not self._plan.limits:
            self._plan = Plan(limits)
        return self._plan

    def _now(self) -> float:
        return self._clock() * SECOND
