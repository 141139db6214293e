"""May they? The API server decides, by its own rules of access (SubjectAccessReview)."""

from typing import Final, Protocol

from chatfleet_metrics.apiserver.ttl_cache import Recent
from chatfleet_metrics.apiserver.users import Action, User
from chatfleet_operator.model.values import Manifest

ALLOWED_SECONDS: Final = 60.0
"""How long a right holds after it was taken back: an autoscaler asks every 15 s, and is looked up every fourth time."""

DENIED_SECONDS: Final = 5.0
"""How long a denial holds after the right was granted."""


class Reviewer(Protocol):
    """The part of the API server that decides about requests to others."""

    async def write(self, method: str, kind: str, namespace: str, *, body: Manifest) -> Manifest:
        """Create an object and return it with the server's answer."""
        ...


class Authorization:
    """Decisions of the API server, each kept for a while."""

    def __init__(self, reviewer: Reviewer, recent: Recent[tuple[User, Action], bool]) -> None:
        self._reviewer = reviewer
        self._recent = recent

    async def allows(self, user: User, action: Action) -> bool:
        """Say whether `user` may do `action`; raises ClusterError when the API server does not say."""
        known = self._recent.get((user, action))
        if known is not None:
            return known
        answer = await self._reviewer.write("POST", "SubjectAccessReview", "", body=review(user, action))
        allowed = (answer.get("status") or {}).get("allowed") is True
        return self._recent.put((user, action), allowed, ALLOWED_SECONDS if allowed else DENIED_SECONDS)


def review(user: User, action: Action) -> Manifest:
    """Return the question for the API server."""
    if action.path:
        what: Manifest = {"nonResourceAttributes": {"path": action.path, "verb": "get"}}
    else:
        attributes = {key: value for key, value in action._asdict().items() if value}
        what = {"resourceAttributes": {"verb": "get", **attributes}}
    who = {
        "user": user.name,
        "groups": sorted(user.groups),
        "uid": user.uid,
        "extra": {key: list(values) for key, values in user.extra},
    }
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {**who, **what}}
