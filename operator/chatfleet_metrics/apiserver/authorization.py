"""Authorization, delegated to the API server (SubjectAccessReview), with a cache."""

from typing import Final, Protocol

from chatfleet_metrics.apiserver.ttl_cache import TTLCache
from chatfleet_metrics.apiserver.users import ResourceAttributes, User
from chatfleet_operator.model.values import Manifest

ALLOWED_SECONDS: Final = 60.0
"""Lifetime of an allowed decision. An autoscaler sends a request every 15 s; every fourth leads to a review."""

DENIED_SECONDS: Final = 5.0
"""Lifetime of a denied decision."""


class Reviewer(Protocol):
    """The part of the API server that reviews access."""

    async def write(self, method: str, kind: str, namespace: str, *, body: Manifest) -> Manifest:
        """Create the review and return it with its status."""
        ...


class Authorization:
    def __init__(self, reviewer: Reviewer, cache: TTLCache[tuple[User, ResourceAttributes], bool]) -> None:
        self._reviewer = reviewer
        self._cache = cache

    async def allows(self, user: User, attributes: ResourceAttributes) -> bool:
        """Return whether `user` may make the request; raises ClusterError when the API server does not answer."""
        known = self._cache.get((user, attributes))
        if known is not None:
            return known
        answer = await self._reviewer.write(
            "POST", "SubjectAccessReview", "", body=subject_access_review(user, attributes)
        )
        allowed = (answer.get("status") or {}).get("allowed") is True
        return self._cache.put((user, attributes), allowed, ALLOWED_SECONDS if allowed else DENIED_SECONDS)


def subject_access_review(user: User, attributes: ResourceAttributes) -> Manifest:
    if attributes.path:
        what: Manifest = {"nonResourceAttributes": {"path": attributes.path, "verb": "get"}}
    else:
        given = {key: value for key, value in attributes._asdict().items() if value}
        what = {"resourceAttributes": {"verb": "get", **given}}
    who = {
        "user": user.name,
        "groups": sorted(user.groups),
        "uid": user.uid,
        "extra": {key: list(values) for key, values in user.extra},
    }
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {**who, **what}}
