"""Work that ends when its client disconnects."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientDisconnected(Exception):  # noqa: N818  # not an error: clients may leave
    """The client closed its connection, or takes nothing any more."""


async def until_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; raise `ClientDisconnected` when the client goes first or `work` is cancelled.

    `work` gets a task of its own, since it wakes for every token: waking a short stack costs less than a deep one.
    """
    task = asyncio.ensure_future(work)
    watching = True

    def stop_waiting(_: object) -> None:
        if watching:
            scope.reschedule(0)

    task.add_done_callback(stop_waiting)
    try:
        async with asyncio.timeout(None) as scope:
            await _disconnect(receive)
    except TimeoutError:
        if not task.done():
            raise
    finally:
        watching = False
        if task.cancel():
            await asyncio.wait((task,))
    if task.cancelled():
        raise ClientDisconnected
    return task.result()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
