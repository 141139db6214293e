"""The sums as CSV: our own columns, or those of FOCUS 1.2, which finance tools read. Pure."""

import csv
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from io import StringIO
from typing import Final

import msgspec

from chatfleet_api.usage.report import Group, UsageSums

SERVICE_CATEGORY: Final = "AI and Machine Learning"
_KINDS: Final = ("input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens", "cache_write_tokens")


def as_csv(groups: Sequence[Group], group_by: Sequence[str]) -> str:
    """Return the groups, one a line."""
    return _table([*group_by, *UsageSums.__struct_fields__], [{**group.values, **_fields(group)} for group in groups])


def as_focus(groups: Sequence[Group], tenant: str, account: str) -> str:
    """Return a charge for each group by all dimensions whose cost is known; `account` is the ChatDeployment's name."""
    rows = [_charge(group, tenant, account) for group in groups if group.sums.cost_usd is not None]
    return _table(list(FOCUS_COLUMNS), rows)


FOCUS_COLUMNS: Final = (
    *("AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType"),
    *("BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId"),
    *("CapacityReservationStatus", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency"),
    *("ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId"),
    *("CommitmentDiscountName", "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType"),
    *("CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice"),
    *("EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory"),
    *("PricingCurrency", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost"),
    *("PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId"),
    *("RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName"),
    *("ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName"),
    *("SubAccountType", "Tags", "x_RequestCount", "x_InputTokens", "x_OutputTokens", "x_ReasoningTokens"),
    *("x_CacheReadTokens", "x_CacheWriteTokens", "x_WastedCost", "x_UnpricedAttempts"),
)
"""The columns of FOCUS 1.2, and ours; one that does not apply is empty."""


def _charge(group: Group, tenant: str, account: str) -> dict[str, object]:
    values, sums = group.values, group.sums
    day = date.fromisoformat(values["day"])
    month = day.replace(day=1)
    following = (month + timedelta(days=31)).replace(day=1)
    cost = sums.cost_usd or "0"
    tokens = sums.input_tokens + sums.output_tokens
    counted = {f"x_{_pascal(name)}": getattr(sums, name) for name in _KINDS}
    tags = {name: values[name] for name in ("key", "user", "model") if values[name]}
    return {
        "BilledCost": cost,
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingAccountType": "ChatDeployment",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _instant(following),
        "BillingPeriodStart": _instant(month),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"Tokens of {values['upstream_model']} at {values['provider']}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _instant(day + timedelta(days=1)),
        "ChargePeriodStart": _instant(day),
        "ConsumedQuantity": tokens,
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": values["provider"],
        "ListCost": cost,
        "PricingCategory": "Standard",
        "PricingQuantity": tokens,
        "PricingUnit": "Tokens",
        "ProviderName": values["provider"],
        "PublisherName": values["provider"],
        "ResourceId": values["upstream_model"],
        "ResourceName": values["upstream_model"],
        "ResourceType": "Model",
        "ServiceCategory": SERVICE_CATEGORY,
        "ServiceName": values["provider"],
        "ServiceSubcategory": "Generative AI",
        "SkuId": values["upstream_model"],
        "SkuPriceId": values["upstream_model"],
        "SubAccountId": tenant,
        "SubAccountName": tenant,
        "SubAccountType": "Tenant",
        "Tags": msgspec.json.encode(tags).decode(),
        **counted,
        "x_RequestCount": sums.requests,
        "x_WastedCost": sums.wasted_cost_usd,
        "x_UnpricedAttempts": sums.unpriced,
    }


def _fields(group: Group) -> dict[str, object]:
    fields: dict[str, object] = msgspec.structs.asdict(group.sums)
    return fields


def _instant(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _pascal(name: str) -> str:
    return name.title().replace("_", "")


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: names of users are their own."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
