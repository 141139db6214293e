"""Sentences that several conditions share, in Kubernetes' style."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from chatfleet_operator.model.conflict import Conflict
from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.ownership import describe_owner
from chatfleet_operator.model.values import Manifest, ObjectId

MAX_LISTED: Final = 2
"""Objects that one sentence names; of more it gives the number."""


def listed(items: Iterable[object]) -> str:
    """Return `items` separated by commas, the first few by name."""
    names = [str(item) for item in items]
    more = len(names) - MAX_LISTED
    return ", ".join([*names[:MAX_LISTED], *([f"{more} more"] if more > 0 else [])])


def not_owned(foreign: Mapping[ObjectId, Manifest]) -> str:
    """Return which objects are not ours, whose they are, and the remedy."""
    named = listed(f"{key} ({describe_owner(live)})" for key, live in foreign.items())
    if len(foreign) > 1:
        return f"{named} exist and are not owned by this ChatDeployment. Rename the ChatDeployment or delete them."
    (kind,) = {key.kind for key in foreign}
    return f"{named} exists and is not owned by this ChatDeployment. Rename the ChatDeployment or delete the {kind}."


def not_applied(blocked: Mapping[ObjectId, ObjectId]) -> str:
    """Return which workloads are not applied, and why; empty: none."""
    if not blocked:
        return ""
    reason = "because it would use" if len(blocked) == 1 else "because they would use"
    verb = "is" if len(blocked) == 1 else "are"
    return f"{listed(blocked)} {verb} not applied, {reason} {listed(sorted(set(blocked.values())))}."


def conflicting(conflicts: Sequence[Conflict], namespace: str) -> str:
    """Return who changes what after each repair, and the remedy. Two operators return the same about each other."""
    first = conflicts[0]
    what = f"{first.kind} {first.name}"
    if len(conflicts) > 1:
        what += f" and {len(conflicts) - 1} more"
    if first.writer.operator is not None:
        others = sorted({first.operator, first.writer.operator} - {""})
        one = f"the operators of namespaces {' and '.join(others)}" if len(others) > 1 else "two operators"
        return (
            f"{what}: {one} both apply it, and each delays its repairs."
            f" Add namespace {namespace} to denyNamespaces of one of them, or remove that one."
        )
    if not first.field:
        return f"{what}: deleted again after each repair, and repairs are delayed. Stop the client that deletes it."
    return (
        f"{what}: {first.writer} changes {first.field} again after each repair, and repairs are delayed."
        " Stop that client, or set the field in the ChatDeployment."
    )


def rejected(refused: Mapping[ObjectId, Refusal]) -> str:
    """Return what the API server answered about each object, in its own words."""
    return "; ".join(f"{key}: {refusal.message}" for key, refusal in sorted(refused.items()))
