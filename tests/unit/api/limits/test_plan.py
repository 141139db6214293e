"""What a plan knows of requests that are alike: the same demands, and never more of them than a bound."""

from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.quota import Demand
from chatfleet_api.limits.plan import MOST_KNOWN, Plan
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Limit, ModelLimit

LIMITS = Limits(
    per_tenant=Limit(requests_per_minute=60),
    per_user=Limit(tokens_per_minute=6000),
    models=[ModelLimit(model="dear", concurrent_streams=2)],
)


def test_requests_that_are_alike_differ_in_their_tokens_alone() -> None:
    plan, ann, bob = Plan(LIMITS), Principal("acme", "key", "ann"), Principal("acme", "key", "bob")
    requests = Demand("tenant:requests:60", "requests", 60, 1e6, 1)
    for tokens in (0, 7, 9_000):
        reserved = Demand("user:ann:tokens:6000", "tokens", 6000, 1e4, min(max(tokens, 1), 6000))
        assert plan.demands(ann, "cheap", lambda: tokens) == (requests, reserved)  # noqa: B023  # called at once
    of_bob = plan.demands(bob, "dear", lambda: 5)
    assert [each.meter for each in of_bob] == ["tenant:requests:60", "user:bob:tokens:6000", "model:dear:streams"]
    assert plan.demands(Principal("acme"), "cheap", lambda: 1 // 0) == (requests,)


def test_a_plan_knows_a_bounded_number_of_them() -> None:
    plan = Plan(LIMITS)
    for number in range(3 * MOST_KNOWN):
        user = f"user-{number}"
        (_, tokens) = plan.demands(Principal("acme", "key", user), "cheap", lambda: 5)
        assert tokens.meter == f"user:{user}:tokens:6000"
    assert len(plan._known) <= MOST_KNOWN  # noqa: SLF001  # what it has in memory
