"""Reserves what a request may use before its run begins, and settles what its answer used at the end.

All pods decide together, in Redis. While that is unreachable, each pod allows its share of the limits (`local`) or
refuses (`reject`); what it allowed is charged when Redis returns. A pod without Redis decides alone.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Demand, Held, Quota
from chatfleet_api.limits.buckets import Buckets
from chatfleet_api.limits.budgets import Asked, budget_demands, has_budget, instead, spent
from chatfleet_api.limits.plan import Cost, Plan, shared
from chatfleet_api.limits.shares import Shares
from chatfleet_api.limits.terms import Plans, Terms
from chatfleet_api.limits.together import Together
from chatfleet_api.limits.verdict import SECOND, Verdict, quota, refusal
from chatfleet_api.limits.warnings import NearlyExhausted, nearly_exhausted

UNREACHABLE_RETRY_SECONDS: Final = 2.0
"""Retry-After while Redis is unreachable and requests are refused."""


class _Asking(NamedTuple):
    model: str
    tokens: Cost
    output: int


def _demands(terms: Terms, plan: Plan, principal: Principal, asking: _Asking) -> tuple[Demand, ...]:
    """Return what a request takes; its tokens are counted once, and only if something depends on them."""
    model, tokens, output = asking
    if not plan.budgeted:
        return plan.demands(principal, model, tokens)
    counted = tokens()
    asked = Asked(model, counted - output, output)
    of_budgets = budget_demands(plan.limits, principal, asked, terms.prices(), terms.now())
    return (*plan.demands(principal, model, lambda: counted), *of_budgets)


class Limiter:
    """The limits of a pod, as the current configuration has them."""

    def __init__(
        self,
        terms: Terms,
        together: Together | None,
        *,
        pods: Callable[[], int],
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """Decide `together`, or alone without; `pods` is the number that was last seen."""
        self._terms = terms
        self._plans = Plans(terms.limits(), terms.keys(), Shares())
        self._together = together
        self._pods = pods
        self._clock = clock
        self._new_id = new_id
        self._buckets = Buckets()
        self._warn: Callable[[NearlyExhausted], None] = _no_warning

    def on_warning(self, warn: Callable[[NearlyExhausted], None]) -> None:
        """Call `warn` for each request that finds a budget nearly exhausted; it never waits."""
        self._warn = warn

    @property
    def idle(self) -> bool:
        """Whether nothing is limited."""
        return self._current().idle

    @property
    def reserve_tokens(self) -> int:
        """Output tokens that are reserved for an answer that has no maximum."""
        return self._current().limits.reserve_tokens

    def budget_used(self) -> float:
        """Return the share of the budget that is used most, as this pod has last seen it; any thread may call this."""
        return self._plans.shares.highest(self._now()) if self._plans.apply(self._terms) else 0.0

    def fleet_budget_used(self) -> float | None:
        """Return the same of the budget of the ChatDeployment; None: it has none, or no request has seen it."""
        return self._plans.shares.of_fleet(self._now()) if self._plans.apply(self._terms) else None

    def unpriced_models(self) -> tuple[str, ...]:
        """Return the models that are refused because a budget in USD applies; any thread may call this."""
        return self._terms.prices().unpriced(self._terms.now()) if self._terms.in_usd() else ()

    async def reserve(
        self, principal: Principal, model: str, tokens: Cost, output: int = 0
    ) -> tuple[Held, Quota] | None:
        """Reserve what a request may use; return what it holds and what is left, None when nothing limits it.

        `output` is the part of `tokens` that its answer may have.

        Raises:
            ChatError: LIMIT_EXCEEDED, BUDGET_EXHAUSTED; STORAGE_UNAVAILABLE where `onRedisAway` is `reject`, or a
                budget applies.
        """
        plan = self._current().of(principal)
        demands = _demands(self._terms, plan, principal, _Asking(model, tokens, output))
        return await self._reserve(principal, plan, demands) if demands else None

    async def extend(self, tenant: str, held: Held) -> Held | None:
        """Reserve once more the tokens and money that `held` has, for another request to the model.

        Returns what is held for it, None when nothing limits it; raises as `reserve`.
        """
        demands = tuple(each for each in held.demands if each.unit not in ("requests", "streams"))
        return (await self._reserve(Principal(tenant), self._current().shared, demands))[0] if demands else None

    async def _reserve(self, principal: Principal, plan: Plan, demands: tuple[Demand, ...]) -> tuple[Held, Quota]:
        held = Held(self._new_id(), demands)
        if self._together is None:
            return self._decided(principal, plan, held, self._alone(principal, held))
        verdict = await self._together.reserve(principal.tenant, held)
        if verdict is None:
            if plan.limits.on_redis_away == "reject" or has_budget(demands):
                raise ChatError(Code.STORAGE_UNAVAILABLE, retry_after=UNREACHABLE_RETRY_SECONDS)
            share = Held(held.lease, shared(demands, max(self._pods(), 1)))
            held = Held(held.lease, demands, local=True)
            return self._decided(principal, plan, held, self._alone(principal, share), share)
        return self._decided(principal, plan, held, verdict)

    def adopt(self, tenant: str, held: Held) -> None:
        """Answer for what a run holds: one that begins here, or that another pod began."""
        self._buckets.hold(tenant, held.lease, held.demands)
        if self._together is not None:
            self._together.adopt(tenant, held)

    async def settle(self, tenant: str, held: Held, usage: Usage | None) -> None:
        """Charge `usage`, and release the rest, once; None: it is not known, and all that was reserved is charged.

        Never raises, and waits no longer than `SETTLE_SECONDS`.
        """
        used = self._release(tenant, held, usage)
        if self._together is not None:
            await self._together.settle(tenant, held, used)

    def cancel(self, tenant: str, held: Held) -> None:
        """Give back all but the request itself: no run began."""
        self._settle_later(tenant, held, Usage())

    def close(self, tenant: str, held: Held) -> None:
        """Release the streams if that was not done: whatever became of the run."""
        self._settle_later(tenant, held, None)

    def forget(self, tenant: str, held: Held) -> None:
        """Leave what a run holds to the pod that has taken it over."""
        self._release(tenant, held, None)
        if self._together is not None:
            self._together.forget(held)

    def _alone(self, principal: Principal, held: Held) -> Verdict:
        self._buckets.prune(self._now())
        return self._buckets.reserve(principal.tenant, held.lease, held.demands, self._now())

    def _decided(
        self, principal: Principal, plan: Plan, held: Held, verdict: Verdict, share: Held | None = None
    ) -> tuple[Held, Quota]:
        """Return what is held; `share` is what the `verdict` is about if not all of that."""
        tenant, demands = principal.tenant, (share or held).demands
        self._plans.shares.see(tenant, demands, verdict.left, self._now())
        for budget in nearly_exhausted(tenant, demands, verdict.left):
            self._warn(budget)
        if verdict.refused is not None:
            error = refusal(demands, verdict, self._terms.now())
            error.instead = instead(plan.limits, principal, demands[verdict.refused])
            raise error
        self.adopt(tenant, held)
        return held, quota(demands, verdict.left)

    def _settle_later(self, tenant: str, held: Held, usage: Usage | None) -> None:
        used = self._release(tenant, held, usage)
        if self._together is not None:
            self._together.settle_later(tenant, held, used)

    def _release(self, tenant: str, held: Held, usage: Usage | None) -> tuple[int, ...]:
        """Settle with this pod's own buckets; return what was used of each meter."""
        used = tuple([spent(each, usage) for each in held.demands])
        self._buckets.release(tenant, held, used, self._now())
        return used

    def _current(self) -> Plans:
        self._plans = self._plans.following(self._terms)
        return self._plans

    def _now(self) -> float:
        return self._clock() * SECOND


def _no_warning(_: NearlyExhausted) -> None:
    """Make nothing known: no one listens."""
