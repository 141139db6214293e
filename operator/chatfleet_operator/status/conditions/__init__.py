"""The conditions of a ChatDeployment, one file each. `RULES` of a file reads top to bottom; the first result decides.

result                 the value of a condition, and the shape of a rule
messages               sentences that several conditions share
dependency             sentences about what pods report of Redis, of PostgreSQL, or of ChromaDB
ready                  a request through the Service is answered with the current configuration
available              requests are answered, by pods of any generation
progressing            a rollout is under way
configuration_valid    the spec, its Secrets and every child are accepted
redis_available        the pods reach Redis
archive_available      the pods reach PostgreSQL; absent without an archive
knowledge_available    the pods reach ChromaDB; absent without a collection
upstreams_available    the providers answer
reconciling            the current spec is not served yet; absent otherwise
stalled                it will not be until someone changes something; absent otherwise
autoscaling_active     the autoscaler reads its metrics and can scale
exposed                the Service has the addresses of its type
access_restricted      the pods refuse callers without a valid credential
testing                the pods answer `/test/*`; absent otherwise

What each condition promises to users is in docs/operations/operator.md, its reasons in
`chatfleet_contract.reasons`.
"""

from collections.abc import Mapping
from typing import Final

from chatfleet_contract.status import ConditionType
from chatfleet_operator.status.assessment import Assessment
from chatfleet_operator.status.conditions import (
    access_restricted,
    archive_available,
    autoscaling_active,
    available,
    configuration_valid,
    exposed,
    knowledge_available,
    progressing,
    ready,
    reconciling,
    redis_available,
    stalled,
    testing,
    upstreams_available,
)
from chatfleet_operator.status.conditions.result import ConditionResult, Rule, found

RULES: Final[Mapping[ConditionType, tuple[Rule, ...]]] = {
    ConditionType.READY: ready.RULES,
    ConditionType.AVAILABLE: available.RULES,
    ConditionType.PROGRESSING: progressing.RULES,
    ConditionType.CONFIGURATION_VALID: configuration_valid.RULES,
    ConditionType.REDIS_AVAILABLE: redis_available.RULES,
    ConditionType.ARCHIVE_AVAILABLE: archive_available.RULES,
    ConditionType.KNOWLEDGE_AVAILABLE: knowledge_available.RULES,
    ConditionType.UPSTREAMS_AVAILABLE: upstreams_available.RULES,
    ConditionType.AUTOSCALING_ACTIVE: autoscaling_active.RULES,
    ConditionType.EXPOSED: exposed.RULES,
    ConditionType.ACCESS_RESTRICTED: access_restricted.RULES,
    ConditionType.TESTING: testing.RULES,
    ConditionType.RECONCILING: reconciling.RULES,
    ConditionType.STALLED: stalled.RULES,
}
"""In the order of the status."""

SUMMARIES: Final = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})
"""Conditions of kstatus, present only while they are True: others have the cause, in logs and Events too."""


def evaluate_conditions(assessment: Assessment) -> dict[ConditionType, ConditionResult]:
    """Return the conditions that are present: some of them only while they are True, or with what they are about."""
    results = {kind: found(assessment, rules) for kind, rules in RULES.items()}
    return {kind: result for kind, result in results.items() if result}
