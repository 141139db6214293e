"""`spec.limits`: how much each tenant, key, user and model may use, on all pods together."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Json, Part, keyed, rule, rules, worded
from chatfleet_contract.spec.model_name import ModelName

OnRedisAway: TypeAlias = Literal["local", "reject"]

OnExhausted: TypeAlias = Literal["reject", "degrade"]

MAX_MODEL_LIMITS: Final = 16
LONGEST_WAIT_SECONDS: Final = 120
"""No request is refused for longer: a burst is at most what two minutes allow."""


class Burst(Part):
    """How much may be used at once after a pause."""

    requests: int | None = Field(
        None, ge=1, le=2_000_000, description="Requests at once. Default: requestsPerMinute. At most twice that."
    )
    tokens: int | None = Field(
        None, ge=1, le=2_000_000_000, description="Tokens at once. Default: tokensPerMinute. At most twice that."
    )


def _burst_rule(burst: str, rate: str) -> Json:
    return rule(
        f"!has(self.burst) || !has(self.burst.{burst}) || has(self.{rate}) && self.burst.{burst} <= 2 * self.{rate}",
        f"burst.{burst} needs {rate} and must be at most twice that, because no client has to wait longer than two"
        f" minutes; lower burst.{burst} or raise {rate}",
        ".burst",
    )


_LIMIT_RULES: Final = (
    rule(
        "has(self.requestsPerMinute) || has(self.tokensPerMinute) || has(self.concurrentStreams)",
        "a limit needs at least one of requestsPerMinute, tokensPerMinute and concurrentStreams; add one or remove the"
        " limit",
    ),
    _burst_rule("requests", "requestsPerMinute"),
    _burst_rule("tokens", "tokensPerMinute"),
)


class Limit(Part):
    """A limit; what is unset is not limited."""

    model_config = ConfigDict(json_schema_extra=rules(*_LIMIT_RULES))

    requests_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="Requests per minute. Further requests are rejected with 429."
    )
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Tokens per minute, input and output. A request reserves its input and the most that its answer may"
        " have; what the answer did not use is returned at its end.",
    )
    concurrent_streams: int | None = Field(
        None, ge=1, le=1_000_000, description="Answers that are being written at the same time, streamed or not."
    )
    burst: Burst | None = Field(None, description="How much may be used at once after a pause.")


class ModelLimit(Limit):
    """A limit of each tenant for one model."""

    model: ModelName = Field(description="Name of a model in spec.models.")


USD = Annotated[
    str,
    Field(
        max_length=13,
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$",
        json_schema_extra=worded("a budget must be a decimal number of USD in quotes; write it like '50' or '0.40'"),
    ),
]


class Budget(Part):
    """A budget; what is unset is not limited. Days and months are those of timeZone."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.usdPerDay) || has(self.usdPerMonth) || has(self.tokensPerDay)",
                "a budget needs at least one of usdPerDay, usdPerMonth and tokensPerDay; add one or remove the budget",
            ),
            rule(
                "(has(self.onExhausted) && self.onExhausted == 'degrade') == has(self.degradeTo)",
                "onExhausted: degrade and degradeTo go together; set both or none",
                ".degradeTo",
            ),
        )
    )

    usd_per_day: USD | None = Field(
        None, description="US dollars per day. A model whose price is not known is rejected."
    )
    usd_per_month: USD | None = Field(
        None, description="US dollars per calendar month. A model whose price is not known is rejected."
    )
    tokens_per_day: int | None = Field(
        None, ge=1, le=1_000_000_000_000, description="Tokens per day, input and output."
    )
    on_exhausted: OnExhausted = Field(
        "reject",
        description="What becomes of a request for which too little is left: reject: 429. degrade: degradeTo answers"
        " it, within the same budget, or it is rejected.",
    )
    degrade_to: ModelName | None = Field(
        None, description="Name of a cheaper model in spec.models. Answers have it as their model."
    )


class Budgets(Part):
    """How much callers may spend, on all pods together."""

    per_tenant: Budget | None = Field(None, description="Budget of each tenant.")
    per_key: Budget | None = Field(None, description="Budget of each API key, within that of its tenant.")
    per_user: Budget | None = Field(None, description="Budget of each user of a tenant, for credentials that name one.")


_ZONE: Final = "timeZone must be the name of an IANA time zone; write it like 'Europe/Berlin'"


class Limits(Part):
    """How much callers may use, on all pods together. A change applies to running pods."""

    per_tenant: Limit | None = Field(None, description="Limit of each tenant.")
    per_key: Limit | None = Field(None, description="Limit of each API key, within that of its tenant.")
    per_user: Limit | None = Field(None, description="Limit of each user of a tenant, for credentials that name one.")
    models: Annotated[list[ModelLimit], Field(max_length=MAX_MODEL_LIMITS, json_schema_extra=keyed("model"))] = Field(
        default_factory=list, description="Limits of each tenant for single models."
    )
    budget: Budget | None = Field(
        None,
        description="Budget of the whole ChatDeployment, beside those of its callers, which it may refuse before theirs"
        " are exhausted.",
    )
    budgets: Budgets | None = Field(
        None,
        description="How much may be spent in a day or a month. A request reserves the most that it may use; one for"
        " which too little is left is rejected with 429. While Redis is unreachable, it is rejected with 503.",
    )
    time_zone: str = Field(
        "UTC",
        max_length=32,
        pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$",
        json_schema_extra={
            **worded(_ZONE),
            **rules(rule("timestamp('2026-01-01T12:00:00Z').getFullYear(self) > 0", _ZONE)),
        },
        description="IANA time zone of the days and months of budgets, such as Europe/Berlin.",
    )
    reserve_tokens: int = Field(
        1024,
        ge=1,
        le=1_000_000,
        description="Output tokens that a request reserves of limits and budgets when neither it nor its model sets a"
        " maximum.",
    )
    on_redis_away: OnRedisAway = Field(
        "local",
        description="While Redis is unreachable: local: each pod allows its share, the limit divided by the pods that"
        " were last seen. reject: requests are rejected with 503.",
    )

    @property
    def in_usd(self) -> bool:
        """Whether a budget is in USD."""
        callers = self.budgets or Budgets()
        each = (self.budget, callers.per_tenant, callers.per_key, callers.per_user)
        return any(budget and (budget.usd_per_day or budget.usd_per_month) for budget in each)

    @property
    def unlimited(self) -> bool:
        """Whether nothing is limited."""
        return not (self.per_tenant or self.per_key or self.per_user or self.models or self.budget or self.budgets)


_MODELS_RULE: Final = rule(
    "!has(self.limits) || !has(self.limits.models) || self.limits.models.all(l, self.models.exists(m, m.name =="
    " l.model) || has(self.agents) && (l.model == 'agent' || self.agents.members.exists(a, 'agent:' + a.name =="
    " l.model)))",
    "limits.models[].model must be the name of a model in spec.models, or of an agent; add the model or correct the"
    " name",
    ".limits.models",
)

_BUDGETS: Final = ("budget", "budgets.perTenant", "budgets.perKey", "budgets.perUser")


def _degrade_rule(budget: str) -> Json:
    parts = f"limits.{budget}.degradeTo".split(".")
    names = [".".join(["self", *parts[: count + 1]]) for count in range(len(parts))]
    absent = " || ".join(f"!has({name})" for name in names)
    return rule(
        f"{absent} || self.models.exists(m, m.name == {names[-1]})",
        f"limits.{budget}.degradeTo must be the name of a model in spec.models; add the model or correct the name",
        f".limits.{budget}",
    )


LIMITS_RULES: Final = (_MODELS_RULE, *map(_degrade_rule, _BUDGETS))
"""For the object that holds the limits and the models."""
