"""List and watch (client-go's reflector): the one way in which both processes follow objects outside kopf.

`list_pages` is one consistent list in pages. `Reflector` keeps a store equal to the API server: it lists once, then
watches from the list's resource version on, with bookmarks, and lists anew when that version has expired or the API
server fails. Decision 0121 has the reasons why the metrics API server does not use kopf.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from chatfleet_operator.model.errors import ClusterError, Retry
from chatfleet_operator.model.values import Manifest

PAGE_SIZE: Final = 500
"""Objects in one answer, so that memory does not grow with their number."""

WATCH_SECONDS: Final = 60
"""Length of one watch. The next one resumes at its resource version, so a dead connection costs at most a minute."""

RETRY_SECONDS: Final = 2.0
"""Pause before a new list after a failure."""

logger = logging.getLogger(__name__)


class Api(Protocol):
    """The requests that list and watch need; `Connection` has them."""

    async def read(self, kind: str, namespace: str, *, query: Mapping[str, str]) -> Manifest: ...

    def watch(self, kind: str, query: Mapping[str, str], seconds: int) -> AsyncIterator[Manifest]: ...


class Store(Protocol):
    """Where a reflector keeps what it has seen."""

    def replace(self, objects: Sequence[Manifest]) -> None:
        """Hold these objects and no others."""
        ...

    def update(self, live: Manifest) -> None:
        """Hold this object as it is now; it may be new."""
        ...

    def delete(self, live: Manifest) -> None:
        """Hold this object no longer."""
        ...


@dataclass(frozen=True, slots=True)
class Watched:
    """The objects to follow: a kind in the whole cluster, limited by a label selector."""

    kind: str
    selector: str
    transform: Callable[[Manifest], Manifest]
    """Reduces an object to what the store needs, so that a long list is never held in full."""


async def list_pages(api: Api, kind: str, namespace: str, query: Mapping[str, str]) -> AsyncIterator[Manifest]:
    """Yield a list page by page; `namespace` empty: of the whole cluster. The last page has the resource version."""
    query = {**query, "limit": str(PAGE_SIZE)}
    while True:
        page = await api.read(kind, namespace, query=query)
        yield page
        following = page["metadata"].get("continue")
        if not following:
            return
        query = {**query, "continue": following}


class Reflector:
    """Keeps `store` equal to the objects of the API server."""

    def __init__(self, api: Api, watched: Watched, store: Store, synced: Callable[[], None]) -> None:
        """Call `synced` after each complete list."""
        self._api = api
        self._watched = watched
        self._store = store
        self._synced = synced

    async def run(self) -> None:
        """List and watch until cancelled. While the API server fails, the store keeps what it has."""
        while True:
            try:
                version = await self._list()
                self._synced()
                while True:
                    version = await self._watch(version)
            except ClusterError as error:
                logger.warning("Listing %s objects again after a failed watch or list: %s", self._watched.kind, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _list(self) -> str:
        objects, version = list[Manifest](), ""
        async for page in list_pages(self._api, self._watched.kind, "", {"labelSelector": self._watched.selector}):
            objects += [self._watched.transform(live) for live in page["items"]]
            version = str(page["metadata"]["resourceVersion"])
        self._store.replace(objects)
        return version

    async def _watch(self, version: str) -> str:
        """Follow one watch from `version` to its end, and return the version at which the next one resumes."""
        query = {"labelSelector": self._watched.selector, "resourceVersion": version, "allowWatchBookmarks": "true"}
        async for event in self._api.watch(self._watched.kind, query, WATCH_SECONDS):
            live = event["object"]
            match event["type"]:
                case "ERROR":  # mostly 410 Gone: the resource version has expired
                    raise Retry(str(live.get("message", "the watch failed")))
                case "BOOKMARK":
                    pass
                case "DELETED":
                    self._store.delete(live)
                case _:
                    self._store.update(live)
            version = live["metadata"]["resourceVersion"]
        return version
