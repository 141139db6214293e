"""Kopf, as a watch client only: every watch event enqueues a key in the work queue, and nothing else happens here.

No create, update, resume, delete, timer or daemon handler: those are about edges, and write finalizers and annotations
on objects that are not ours. With `__main__` the only module that imports kopf.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeAlias

import aiohttp
import kopf
from kopf._cogs.clients.errors import APIError  # not exported
from typing_extensions import override

from chatfleet_contract import names
from chatfleet_operator.children.kinds import KINDS
from chatfleet_operator.kube import Access
from chatfleet_operator.model.values import Ref

WATCHED: Final = tuple(kind for kind in KINDS if kind.watched)
"""Beside the ChatDeployments. A change of what is not watched is found by the resync."""

EXPECTED: Final = (APIError, aiohttp.ClientError, OSError, TimeoutError)
"""Errors of requests to an API server that refuses, does not serve a kind or does not respond."""

Enqueue: TypeAlias = Callable[[Ref], None]


def register(registry: kopf.OperatorRegistry, enqueue: Enqueue, log_in: Callable[[], Awaitable[Access]]) -> None:
    """Register what enqueues a key, and how kopf reaches the cluster: by the same access as everything else."""

    async def on_event(body: kopf.Body, **_: Any) -> None:  # noqa: ANN401  # kopf passes much more
        ref = owner_of(body)
        if ref:
            enqueue(ref)

    def on_change_of(fingerprint: Callable[[Mapping[str, Any]], str]) -> Callable[..., Awaitable[None]]:
        """Return a handler that enqueues when an object is deleted, or its fingerprint changes."""

        async def on_change(body: kopf.Body, memo: kopf.Memo, **rest: Any) -> None:  # noqa: ANN401  # kopf passes much more
            before, memo["fingerprint"] = (
                memo.get("fingerprint"),
                hash(fingerprint(body)),
            )  # short: there may be thousands
            if memo["fingerprint"] != before or rest.get("type") == "DELETED":
                await on_event(body)

        return on_change

    async def on_login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401  # kopf passes much more
        return connection_info(await log_in())

    kopf.on.login(id="login", registry=registry)(on_login)
    kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, id="resource", registry=registry)(
        on_change_of(spec_fingerprint)
    )
    for kind in WATCHED:
        handler = on_change_of(autoscaler_fingerprint) if kind.autoscaler else on_event
        kopf.on.event(kind.group, kind.version, kind.plural, id=kind.plural, registry=registry)(handler)


def spec_fingerprint(body: Mapping[str, Any]) -> str:
    """Return what a ChatDeployment specifies, as text: all but its status.

    We write that ourselves: while streams start and end, each reconciliation would cause the next one at once.
    """
    metadata = body["metadata"]
    kept = ("uid", "generation", "labels", "annotations", "deletionTimestamp")  # generation: of the spec
    return repr([metadata.get(key) for key in kept])


def autoscaler_fingerprint(body: Mapping[str, Any]) -> str:
    """Return the state of an autoscaler as text: all but its metrics, which change every 15 s."""
    metadata, status = body["metadata"], body.get("status") or {}
    conditions = [(each["type"], each["status"], each.get("reason")) for each in status.get("conditions") or ()]
    kept = [metadata.get("labels"), metadata.get("ownerReferences"), metadata.get("annotations"), body.get("spec")]
    return repr([*kept, conditions, status.get("desiredReplicas")])


def owner_of(body: Mapping[str, Any]) -> Ref | None:
    """Return the ChatDeployment that an object belongs to; for a ChatDeployment, itself."""
    metadata = body["metadata"]
    namespace = metadata["namespace"]
    if body.get("kind") == names.KIND:
        return Ref(namespace, metadata["name"])
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("kind") == names.KIND and owner.get("apiVersion", "").startswith(f"{names.GROUP}/"):
            return Ref(namespace, owner["name"])
    name = (metadata.get("labels") or {}).get(names.LABEL_DEPLOYMENT)
    return Ref(namespace, name) if name else None


def connection_info(access: Access) -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(
        server=access.server,
        ca_path=access.ca_file,
        ca_data=access.ca_data,
        certificate_path=access.certificate_file,
        private_key_path=access.key_file,
        scheme="Bearer" if access.token else None,
        token=access.token.get_secret_value() if access.token else None,
        insecure=access.insecure,
    )


class Backoffs:
    """Seconds between the attempts of a request that is refused or not answered, without an end.

    kopf would give up after 84 s, and the operator with it: for a right on one kind that is missing, all would stop.
    """

    def __iter__(self) -> Iterator[float]:
        yield from (1, 1, 2, 3, 5)
        yield from itertools.repeat(8)


def kopf_settings() -> kopf.OperatorSettings:
    """Return every setting of kopf that we change. Seconds."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # its Events are neither aggregated nor limited; ours are
    settings.peering.standalone = True  # the Lease decides who works
    settings.scanning.disabled = True  # no watch on CRDs and namespaces; ours is awaited before the start
    settings.networking.request_timeout = 10
    settings.networking.error_backoffs = Backoffs()
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = 70  # bookmarks come every 60: a silent stream is a dead one
    settings.watching.chunk_size = 500
    settings.queueing.worker_limit = None  # a limit here starves objects behind each other
    settings.queueing.error_delays = (1, 1, 2, 3, 5, 8, 13, 21, 30)
    settings.process.ultimate_exiting_timeout = 20
    for kind in WATCHED:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = names.LABEL_DEPLOYMENT
    return settings


def watch(
    registry: kopf.OperatorRegistry,
    namespaces: tuple[str, ...],
    *,
    started: threading.Event,
    stop: Future[None],
) -> None:
    """Watch until `stop` is done; `namespaces` empty: the whole cluster. Raises what makes kopf give up.

    For a thread of its own: kopf brings its event loop, and on its way out ends every task that it finds in it.
    """
    asyncio.run(_watch(registry, namespaces, started, stop))


async def _watch(
    registry: kopf.OperatorRegistry, namespaces: tuple[str, ...], started: threading.Event, stop: Future[None]
) -> None:
    clock, stopping = asyncio.get_running_loop(), asyncio.Event()

    def end(_: Future[None]) -> None:
        with suppress(RuntimeError):  # kopf has ended already, and its loop with it
            clock.call_soon_threadsafe(stopping.set)

    stop.add_done_callback(end)
    with suppress(asyncio.CancelledError):
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=started,
            stop_flag=stopping,  # of its own loop: it would wait for another one in a thread, also when it has failed
        )


class ExpectedErrors(logging.Filter):
    """Shortens what kopf logs about requests that fail to one line: the message has the cause."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("kopf.") and record.exc_info and isinstance(record.exc_info[1], EXPECTED):
            record.exc_info = record.exc_text = None
        return True
