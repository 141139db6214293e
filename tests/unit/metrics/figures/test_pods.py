"""How the pods are followed, with an API server that is scripted: one list, watches, and a new start after trouble."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from chatfleet_metrics.figures.pods import RETRY_SECONDS, follow
from chatfleet_metrics.figures.store import Fleet
from chatfleet_operator.model.errors import Retry

Script = list[Any]


def pod(name: str, version: str) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": version}
    return {"metadata": metadata, "status": {"phase": "Running", "podIP": "10.0.0.1"}}


class Server:
    """Answers lists and watches in turn, and remembers from where each watch went on. At the end it says nothing."""

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
        self.versions.append(query["resourceVersion"])
        if not self.watches:
            await asyncio.sleep(10_000)
        for kind, what in self.watches.pop(0):
            if kind == "fails":
                raise what
            yield {"type": kind, "object": what}


def page(*pods: dict[str, Any], version: str = "1", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    following = {"continue": more["leads_to"]} if "leads_to" in more else {}
    return {"items": list(pods), "metadata": {"resourceVersion": version, **following}, "expects": more.get("expects")}


async def followed(server: Server) -> tuple[list[str], int]:
    """Return the pods that are known after a while, and how often they were complete."""
    fleet, complete = Fleet(5, asyncio.get_running_loop().time), list[int]()
    with suppress(TimeoutError):
        await asyncio.wait_for(follow(server, fleet, lambda: complete.append(1)), 100)  # type: ignore[arg-type]
    return sorted(each.name for each in fleet), len(complete)


@pytest.mark.looptime
async def test_long_lists_come_in_pages() -> None:
    pages = [page(pod("a", "1"), leads_to="more"), page(pod("b", "1"), expects="more", version="7")]
    server = Server(pages, [])
    assert await followed(server) == (["a", "b"], 1)
    assert server.versions == ["7"]


@pytest.mark.looptime
async def test_a_watch_goes_on_where_the_last_one_ended() -> None:
    events = [("ADDED", pod("b", "2")), ("DELETED", pod("a", "3")), ("MODIFIED", pod("c", "4"))]
    bookmark = [("BOOKMARK", {"metadata": {"resourceVersion": "9"}})]
    server = Server([page(pod("a", "1"))], [events, bookmark])
    assert await followed(server) == (["b", "c"], 1)
    assert server.versions == ["1", "4", "9"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "trouble", [("ERROR", {"code": 410, "message": "too old"}), ("fails", Retry("the API server did not answer"))]
)
async def test_after_trouble_everything_is_listed_anew(trouble: tuple[str, Any]) -> None:
    away = Retry("the API server did not answer")
    server = Server([page(pod("a", "1")), away, page(pod("b", "5"), version="5")], [[trouble]])
    assert await followed(server) == (["b"], 2)
    assert server.versions == ["1", "5"]
    assert RETRY_SECONDS > 0
