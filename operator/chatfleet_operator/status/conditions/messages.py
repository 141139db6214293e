"""Sentences that several conditions share, in Kubernetes' style."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from chatfleet_operator.model.errors import Refusal
from chatfleet_operator.model.values import ObjectId

MAX_LISTED: Final = 2
"""Objects that one sentence names; of more it gives the number."""


def listed(items: Iterable[object]) -> str:
    """Return `items` separated by commas, the first few by name."""
    names = [str(item) for item in items]
    more = len(names) - MAX_LISTED
    return ", ".join([*names[:MAX_LISTED], *([f"{more} more"] if more > 0 else [])])


def not_owned(foreign: Sequence[ObjectId]) -> str:
    if len(foreign) > 1:
        return (
            f"{listed(foreign)} exist and are not owned by this ChatDeployment."
            " Rename the ChatDeployment or delete them."
        )
    (key,) = foreign
    return f"{key} exists and is not owned by this ChatDeployment. Rename the ChatDeployment or delete the {key.kind}."


def rejected(refused: Mapping[ObjectId, Refusal]) -> str:
    """Return what the API server answered about each object, in its own words."""
    return "; ".join(f"{key}: {refusal.message}" for key, refusal in sorted(refused.items()))
