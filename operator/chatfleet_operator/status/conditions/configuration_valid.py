"""ConfigurationValid: the spec can be read, its Secrets exist, and every child of the pods was accepted."""

from collections.abc import Iterable
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.status import ConditionStatus, Reason
from chatfleet_operator.children.kinds import AUTOSCALERS, PERSISTENT_VOLUME_CLAIM
from chatfleet_operator.children.volume import difference, is_bound
from chatfleet_operator.model.errors import truncate
from chatfleet_operator.model.named_secrets import header_secrets
from chatfleet_operator.model.values import ObjectId
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.messages import listed, not_applied, not_owned, rejected
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, first, true


def _spec_unreadable(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None:
        return false(Reason.INVALID_SPEC, assessment.seen.resource.problem)
    return None


def _needed_to_serve(key: ObjectId) -> bool:
    """Pods serve without an autoscaler; AutoscalingActive reports on that one."""
    return key.kind not in AUTOSCALERS


def _child_not_owned(assessment: Assessment) -> ConditionResult | None:
    foreign = {key: assessment.seen.children[key] for key in assessment.plan.foreign if _needed_to_serve(key)}
    if not foreign:
        return None
    return false(Reason.NOT_OWNED, f"{not_owned(foreign)} {not_applied(assessment.plan.blocked)}".strip())


def _child_rejected(assessment: Assessment) -> ConditionResult | None:
    refused = {
        key: refusal
        for key, refusal in assessment.refused.items()
        if _needed_to_serve(key) and not _is_bound_volume(assessment, key)
    }
    return false(Reason.CHILD_REJECTED, rejected(refused)) if refused else None


def _field_not_allowed(assessment: Assessment) -> ConditionResult | None:
    fields = assessment.plan.refused_fields
    if not fields:
        return None
    verb = "is" if len(fields) == 1 else "are"
    ignored = f"{listed(fields)} {verb} ignored, because operator.restrictTemplate is set in the chart."
    return false(Reason.FIELD_NOT_ALLOWED, f"{ignored} Remove it from the spec.")


def _secret_not_allowed(assessment: Assessment) -> ConditionResult | None:
    refused = assessment.seen.refused_secrets
    if not refused:
        return None
    label, name = names.LABEL_ALLOWED, assessment.seen.resource.ref.name
    named = listed(f"Secret {use.name} ({use.field})" for use in refused)
    unused = f"{named} is not used" if len(refused) == 1 else f"{named} are not used"
    cause = f"{unused}: a Secret must exist with the label {label}=true or {label}={name}."
    return false(Reason.SECRET_NOT_ALLOWED, f"{cause} Create it or set the label; the pods then restart with it.")


def _secret_missing(assessment: Assessment) -> ConditionResult | None:
    missing = [f"key {ref.key} of Secret {ref.name}" for ref in assessment.seen.missing_secrets]
    headers = {use.name for use in header_secrets(assessment.spec)} if assessment.spec else set()
    missing += [
        f"Secret {name} with {'headers for a tool server' if name in headers else 'API keys of clients'}"
        for name in assessment.seen.empty_secrets
    ]
    if not missing:
        return None
    return false(Reason.SECRET_MISSING, f"Missing: {listed(missing)}. Create it; pods read it without a restart.")


def _secret_invalid(assessment: Assessment) -> ConditionResult | None:
    """A Secret that the spec names is judged itself: pods read it some seconds later, and those that start at once."""
    ref = assessment.spec.redis.url_secret_ref if assessment.spec else None
    pods = (f"Pod {report.pod}: {report.redis_url_error}" for report in assessment.reports if report.redis_url_error)
    wrong = assessment.seen.redis_url_error if ref else next(pods, "")
    if not wrong:
        return None
    generated = names.redis_name(assessment.seen.resource.ref.name)
    key, secret = (ref.key, ref.name) if ref else (names.REDIS_SECRET_URL, generated)
    why = truncate(wrong).rstrip(".")
    remedy = f"Correct key {key} of Secret {secret}; pods that start cannot use Redis until then."
    return false(Reason.SECRET_INVALID, f"{why[0].upper()}{why[1:]}. {remedy}")


def _config_map_missing(assessment: Assessment) -> ConditionResult | None:
    missing = [f"key {ref.key} of ConfigMap {ref.name}" for ref in assessment.seen.missing_config_map_keys]
    if not missing:
        return None
    cause = f"Missing: {listed(missing)}, with instructions of agents."
    return false(Reason.CONFIG_MAP_MISSING, f"{cause} Create it; pods read it without a restart.")


def _rejected_by_pod(assessment: Assessment) -> ConditionResult | None:
    for report in assessment.reports:
        if report.config_error and report.config != assessment.digest:
            return false(
                Reason.INVALID_SPEC, f"Pod {report.pod} keeps its previous configuration: {report.config_error}"
            )
    return None


def _knowledge_unavailable(assessment: Assessment) -> ConditionResult | None:
    """All models that do not need the documents serve."""
    problems = _once(each for report in assessment.reports for each in report.knowledge_errors)
    return false(Reason.KNOWLEDGE_UNAVAILABLE, f"{problems}.") if problems else None


def _webhook_unavailable(assessment: Assessment) -> ConditionResult | None:
    """All clients are served, and the events wait."""
    problems = _once(each for report in assessment.reports for each in report.webhook_errors)
    return false(Reason.WEBHOOK_UNAVAILABLE, f"{problems}. Its events wait for 24 hours.") if problems else None


def _once(reported: Iterable[str]) -> str:
    """Return the first problem, and how many others there are, without a full stop; empty: there are none."""
    problems = tuple(dict.fromkeys(reported))
    if not problems:
        return ""
    others = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{truncate(problems[0][0].upper() + problems[0].rstrip('.')[1:])}{others}"


def _price_unknown(assessment: Assessment) -> ConditionResult | None:
    """All models that have prices serve."""
    models = dict.fromkeys(name for report in assessment.reports for name in report.unpriced_models)
    if not models:
        return None
    named = f"model {listed(models)}" if len(models) == 1 else f"models {listed(models)}"
    return false(
        Reason.PRICE_UNKNOWN,
        f"A budget in USD applies, and the price of {named} or of a fallback is not known: requests are rejected."
        " Set models[].pricing, with prices of '0' for a server of your own.",
    )


def _volume_differs(assessment: Assessment) -> ConditionResult | None:
    """After all that stops requests: Redis serves with the volume that it has."""
    key = ObjectId(PERSISTENT_VOLUME_CLAIM.name, names.redis_name(assessment.seen.resource.ref.name))
    live, managed = assessment.child(key), assessment.spec.redis.managed if assessment.spec else None
    if live is None or managed is None or not is_bound(live):
        return None
    refusal = assessment.refused.get(key)
    if refusal:
        size = live["spec"]["resources"]["requests"]["storage"]
        remedy = f"The volume is used unchanged. Set spec.redis.managed.storage to {size}, or enable its expansion."
        return false(Reason.VOLUME_DIFFERS, f"{rejected({key: refusal}).rstrip('.')}. {remedy}")
    text = difference(managed, live)
    return false(Reason.VOLUME_DIFFERS, text) if text else None


def _annotation_invalid(assessment: Assessment) -> ConditionResult | None:
    problem = assessment.seen.resource.annotation_problem
    return false(Reason.INVALID_ANNOTATION, problem) if problem else None


def _is_bound_volume(assessment: Assessment, key: ObjectId) -> bool:
    """What is refused for a claim with a volume stops nothing."""
    live = assessment.child(key) if key.kind == PERSISTENT_VOLUME_CLAIM.name else None
    return live is not None and is_bound(live)


def _valid(_assessment: Assessment) -> ConditionResult:
    return true(Reason.VALID, "The spec is valid, and its Secrets exist.")


RULES: Final[tuple[Rule, ...]] = (
    _spec_unreadable,
    _child_not_owned,
    _child_rejected,
    _field_not_allowed,
    _secret_not_allowed,
    _secret_missing,
    _secret_invalid,
    _config_map_missing,
    _rejected_by_pod,
    _knowledge_unavailable,
    _price_unknown,
    _webhook_unavailable,
    _volume_differs,
    _annotation_invalid,
    _valid,
)

WARNINGS: Final = frozenset(
    {
        *(Reason.KNOWLEDGE_UNAVAILABLE, Reason.PRICE_UNKNOWN, Reason.WEBHOOK_UNAVAILABLE),
        *(Reason.VOLUME_DIFFERS, Reason.INVALID_ANNOTATION),
    }
)
"""Reasons with which the rest of the spec is applied and clients are served: their rules are the last ones."""


def obstacle(assessment: Assessment) -> ConditionResult | None:
    """Return why the spec cannot be served; None: it can, perhaps with one of `WARNINGS`."""
    result = first(assessment, RULES)
    return result if result.status is ConditionStatus.FALSE and result.reason not in WARNINGS else None
