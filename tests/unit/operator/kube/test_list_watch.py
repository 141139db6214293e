"""List and watch against a scripted API server: one list, watches that resume, and a new list after a failure."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from chatfleet_operator.kube.list_watch import RETRY_SECONDS, Reflector, Watched
from chatfleet_operator.model.errors import Retry

Script = list[Any]


def pod(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": version}}


class Server:
    """Answers lists and watches in turn, and records where each watch resumed. After the script it is silent."""

    def __init__(self, lists: Script, watches: Script) -> None:
        self.lists = lists
        self.watches = watches
        self.versions: list[str] = []

    async def read(self, _kind: str, _namespace: str, *, query: Mapping[str, str]) -> dict[str, Any]:
        assert query["labelSelector"] == "chatfleet.io/component=api"
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert query.get("continue") == answer.pop("expects", None)
        return dict(answer)

    async def watch(self, _kind: str, query: Mapping[str, str], _seconds: int) -> AsyncIterator[dict[str, Any]]:
        assert query["labelSelector"] == "chatfleet.io/component=api"
        self.versions.append(query["resourceVersion"])
        if not self.watches:
            await asyncio.sleep(10_000)
        for kind, what in self.watches.pop(0):
            if kind == "fails":
                raise what
            yield {"type": kind, "object": what}


class Store:
    """Holds the names of the objects."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def replace(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self.names = {each["name"] for each in objects}

    def update(self, live: Mapping[str, Any]) -> None:
        self.names.add(live["metadata"]["name"])

    def delete(self, live: Mapping[str, Any]) -> None:
        self.names.remove(live["metadata"]["name"])


def page(*pods: dict[str, Any], version: str = "1", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    following = {"continue": more["leads_to"]} if "leads_to" in more else {}
    return {"items": list(pods), "metadata": {"resourceVersion": version, **following}, "expects": more.get("expects")}


async def reflected(server: Server) -> tuple[list[str], int]:
    """Return the names in the store after a while, and how often it was complete."""
    store, synced = Store(), list[int]()
    watched = Watched("Pod", "chatfleet.io/component=api", lambda live: {"name": live["metadata"]["name"]})
    with suppress(TimeoutError):
        await asyncio.wait_for(Reflector(server, watched, store, lambda: synced.append(1)).run(), 100)
    return sorted(store.names), len(synced)


@pytest.mark.looptime
async def test_long_lists_come_in_pages() -> None:
    pages = [page(pod("a", "1"), leads_to="more"), page(pod("b", "1"), expects="more", version="7")]
    server = Server(pages, [])
    assert await reflected(server) == (["a", "b"], 1)
    assert server.versions == ["7"]


@pytest.mark.looptime
async def test_a_watch_resumes_where_the_last_one_ended() -> None:
    events = [("ADDED", pod("b", "2")), ("DELETED", pod("a", "3")), ("MODIFIED", pod("c", "4"))]
    bookmark = [("BOOKMARK", {"metadata": {"resourceVersion": "9"}})]
    server = Server([page(pod("a", "1"))], [events, bookmark])
    assert await reflected(server) == (["b", "c"], 1)
    assert server.versions == ["1", "4", "9"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "failure", [("ERROR", {"code": 410, "message": "too old"}), ("fails", Retry("the API server did not answer"))]
)
async def test_after_a_failure_everything_is_listed_again(failure: tuple[str, Any]) -> None:
    away = Retry("the API server did not answer")
    server = Server([page(pod("a", "1")), away, page(pod("b", "5"), version="5")], [[failure]])
    assert await reflected(server) == (["b"], 2)
    assert server.versions == ["1", "5"]
    assert RETRY_SECONDS > 0
