"""The limits and the budget in the value of a key: held to the rules of `spec.limits`, none of it guessed. Pure."""

from typing import Any, Final

from pydantic import ValidationError

from chatfleet_api.domain.key_limits import KeyLimits
from chatfleet_contract.spec.limits import Budget, Limit

OF_BUDGET: Final = ("usdPerDay", "usdPerMonth", "tokensPerDay")
_USD: Final = 'a decimal number of USD in quotes, such as "0.40"'
_MUST: Final = {
    "requestsPerMinute": "a whole number from 1 to 1,000,000",
    "tokensPerMinute": "a whole number from 1 to 1,000,000,000",
    "concurrentStreams": "a whole number from 1 to 1,000,000",
    "usdPerDay": _USD,
    "usdPerMonth": _USD,
    "tokensPerDay": "a whole number from 1 to 1,000,000,000,000",
}


def own_limits(limit: dict[str, object], budget: object) -> KeyLimits | None:
    """Return what a key sets of its own, None for nothing; raises `ValueError` with words that have no value of it."""
    set_of_limit = {name: value for name, value in limit.items() if value is not None}
    own = KeyLimits(
        _valid(Limit, set_of_limit, "") if set_of_limit else None,
        None if budget is None else _valid(Budget, _fields(budget), "budget."),
    )
    return None if own == KeyLimits() else own


def _fields(budget: object) -> dict[str, object]:
    if not isinstance(budget, dict) or not budget or not budget.keys() <= set(OF_BUDGET):
        raise ValueError(f"its budget must be an object with one or more of {', '.join(OF_BUDGET)}, and no others")
    return budget


def _valid(part: type[Any], fields: dict[str, object], path: str) -> Any:  # noqa: ANN401  # a Limit or a Budget
    wrong = next((name for name, value in fields.items() if value is None), None)
    try:
        valid = part.model_validate(fields, strict=True)
    except ValidationError as error:
        wrong = str(error.errors(include_input=False, include_url=False)[0]["loc"][0])
    if wrong is not None:
        raise ValueError(f"its {path}{wrong} must be {_MUST[wrong]}")
    return valid
