"""An API server that answers TokenReviews and SubjectAccessReviews."""

from typing import Any


class FakeReviews:
    """An API server with a scripted status, which records the reviews."""

    def __init__(self, status: dict[str, Any]) -> None:
        self.status = status
        self.specs: list[dict[str, Any]] = []

    async def write(self, method: str, kind: str, namespace: str, *, body: dict[str, Any]) -> dict[str, Any]:
        assert (method, kind, namespace) == ("POST", body["kind"], "")
        self.specs.append(body["spec"])
        return {"status": self.status}
