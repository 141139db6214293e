"""AccessRestricted: the pods refuse callers without a valid credential. What a pod does not report is not promised."""

from collections.abc import Iterator
from typing import Final

from chatfleet_contract.spec import Access
from chatfleet_contract.status import Reason
from chatfleet_operator.model.errors import truncate
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions.messages import listed
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, false, true, unknown


def _spec_unreadable(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None:
        return unknown(Reason.BLOCKED, "The spec is invalid, and pods keep their access. See ConfigurationValid.")
    return None


def _anonymous(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or not assessment.spec.access.anonymous:
        return None
    return false(
        Reason.ANONYMOUS,
        "Pods answer every caller, because spec.access.anonymous is true."
        " To restrict the callers, set serviceAccounts, apiKeys or jwt of spec.access instead.",
    )


def _not_enforced(assessment: Assessment) -> ConditionResult | None:
    """An older image does not know `spec.access`, and a pod may not have read the newest configuration yet."""
    lax = [report.pod for report in assessment.reports if not report.authenticates]
    if not lax:
        return None
    verb = "answers" if len(lax) == 1 else "answer"
    return false(
        Reason.NOT_ENFORCED,
        f"{listed(f'Pod {name}' for name in sorted(lax))} {verb} callers without a credential."
        " If this lasts, the image of the pods is too old for spec.access: update it.",
    )


def _not_reported(assessment: Assessment) -> ConditionResult | None:
    if assessment.reports or not assessment.pods:
        return None
    return unknown(Reason.NO_POD_REPORT, "No pod has reported that it uses spec.access.")


def _no_callers(assessment: Assessment) -> ConditionResult | None:
    if assessment.spec is None or assessment.spec.access.names_callers:
        return None
    return true(
        Reason.NO_CALLERS,
        "Pods refuse every caller, because spec.access names none."
        " Set its serviceAccounts, apiKeys or jwt, or anonymous to true.",
    )


def _by_credential(assessment: Assessment) -> ConditionResult:
    needed = f"Callers need {' or '.join(_credentials(assessment.spec.access if assessment.spec else Access()))}."
    problems = dict.fromkeys(truncate(problem) for report in assessment.reports for problem in report.access_errors)
    unusable = f" To correct: {listed(problems)}." if problems else ""
    return true(Reason.CREDENTIALS, f"{needed}{unusable}")


def _credentials(access: Access) -> Iterator[str]:
    if access.api_keys:
        yield f"an API key of {listed(f'Secret {name}' for name in access.key_secrets)}"
    if access.service_accounts:
        allowed = (f"ServiceAccount {each.namespace}/{each.name}" for each in access.service_accounts.allow)
        yield f"a token of {listed(allowed)} for audience {access.service_accounts.audience}"
    if access.jwt:
        yield f"a token of {listed(f'issuer {each.issuer}' for each in access.jwt)}"


RULES: Final[tuple[Rule, ...]] = (
    _spec_unreadable,
    _anonymous,
    _not_enforced,
    _no_callers,
    _not_reported,
    _by_credential,
)
