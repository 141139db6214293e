"""`python -m chatfleet_operator`: the composition root, from settings to a running operator."""

import gc

if __name__ == "__main__":
    gc.disable()  # while modules are imported: imports leave no garbage, and looking for it takes a tenth of the start

import asyncio
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import kopf
from prometheus_client import CollectorRegistry, disable_created_metrics

from chatfleet_contract import names
from chatfleet_operator import watches
from chatfleet_operator.kube import (
    Connection,
    KubernetesCluster,
    KubernetesEvents,
    KubernetesLease,
    connect,
    list_chatdeployments,
)
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.errors import ClusterError, truncate
from chatfleet_operator.model.metrics_api import MetricsAPIServer
from chatfleet_operator.model.named_secrets import Restrictions
from chatfleet_operator.model.values import Ref, Timestamp
from chatfleet_operator.process.health import LoopHeartbeat, health_app, serve
from chatfleet_operator.process.leader import Lease
from chatfleet_operator.process.prober import HttpProber, open_session
from chatfleet_operator.process.recorder import EventRecorder
from chatfleet_operator.process.settings import BadSettings, Settings, read_settings
from chatfleet_operator.process.telemetry import Telemetry, set_up_logging
from chatfleet_operator.process.workqueue import QueueConfig, WorkQueue
from chatfleet_operator.reconcile.reconcile import Parts, reconcile
from chatfleet_operator.reconcile.repairs import Repairs

RELIST_SECONDS: Final = 300.0
"""Between two lists of all ChatDeployments, for watch events that were missed."""

CRD_SECONDS: Final = 2.0
"""Between two checks for our CustomResourceDefinition, before there is anything to watch."""

logger = logging.getLogger("chatfleet_operator")


class FatalError(Exception):
    """The process must end; a restart repairs it."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def timestamp() -> Timestamp:
    return utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")


class Operator:
    """Kopf watches in a thread of its own; the work queue runs in this event loop."""

    def __init__(self, settings: Settings, telemetry: Telemetry, heartbeat: LoopHeartbeat) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._heartbeat = heartbeat
        self._last_event = time.monotonic()

    async def run(self, environ: Mapping[str, str], stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises FatalError or ClusterError."""
        reporter = self._settings.pod_name or socket.gethostname()
        async with connect(environ, self._telemetry.wrote) as connection, open_session() as session:
            store = KubernetesLease(connection, self._settings.namespace, utc_now)
            pod = f"{self._settings.pod_name}_" if self._settings.pod_name else ""
            lease = Lease(store, f"{reporter}_{uuid.uuid4()}", pod) if self._settings.leader_election else None
            writer = connection.leader_only(lease.is_held) if lease else connection
            parts = Parts(
                cluster=KubernetesCluster(writer, self._settings.namespace),
                prober=HttpProber(session),
                recorder=EventRecorder(KubernetesEvents(writer), reporter, utc_now, self._telemetry.dropped_event),
                metrics=self._telemetry,
                defaults=_defaults(self._settings),
                repairs=Repairs(self._settings.namespace, time.monotonic),
                now=timestamp,
            )
            config = QueueConfig(workers=self._settings.workers, resync=self._settings.resync_seconds)
            queue: WorkQueue[Ref] = WorkQueue(lambda ref: reconcile(ref, parts), self._telemetry, random.random, config)
            await self._work(connection, queue, lease, stop)

    async def _work(
        self, connection: Connection, queue: WorkQueue[Ref], lease: Lease | None, stop: asyncio.Event
    ) -> None:
        stop_watching = Future[None]()
        tasks = {
            asyncio.create_task(self._beat(queue)),
            asyncio.create_task(self._lead(queue, lease)),
            asyncio.create_task(self._watch(connection, queue, stop_watching)),
            asyncio.create_task(stop.wait()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stop_watching.set_result(None)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _beat(self, queue: WorkQueue[Ref]) -> None:
        while True:
            self._heartbeat.record()
            self._telemetry.queue(queue.depth(), queue.age())
            self._telemetry.watch(time.monotonic() - self._last_event)
            await asyncio.sleep(1)

    async def _lead(self, queue: WorkQueue[Ref], lease: Lease | None) -> None:
        """Work while we are the leader; a standby keeps the keys of its events in the queue."""
        if lease is None:
            await queue.run()
            return
        try:
            await lease.acquire()
            logger.info("This operator is the leader")
            self._telemetry.leading(leader=True)
            async with asyncio.TaskGroup() as group:
                working = group.create_task(queue.run())
                await lease.hold()
                working.cancel()
            raise FatalError("the Lease was lost; another operator may be the leader")
        finally:
            with suppress(ClusterError):
                await lease.release()

    async def _watch(self, connection: Connection, queue: WorkQueue[Ref], stop: Future[None]) -> None:
        await _until_served(connection)
        clock = asyncio.get_running_loop()

        def enqueue(ref: Ref) -> None:
            self._last_event = time.monotonic()
            if self._settings.serves(ref.namespace):
                clock.call_soon_threadsafe(queue.enqueue, ref)

        registry = kopf.OperatorRegistry()
        watches.register(registry, enqueue, connection.access)
        namespaces, cause = self._settings.namespaces, "kopf has ended"
        async with asyncio.TaskGroup() as group:
            relisting = group.create_task(relist(connection, self._settings, queue, self._telemetry))
            try:
                await asyncio.to_thread(watches.watch, registry, namespaces, started=self._heartbeat.started, stop=stop)
            except watches.EXPECTED as error:
                cause = truncate(str(error) or type(error).__name__)
            relisting.cancel()
        if not stop.done():
            raise FatalError(f"the watches have stopped: {cause}")


def _defaults(settings: Settings) -> Defaults:
    restrictions = Restrictions(
        secrets_need_label=settings.secrets_need_label, restrict_template=settings.restrict_template
    )
    server = MetricsAPIServer(settings.namespace, settings.metrics_apiserver, settings.metrics_apiserver_replicas)
    on_demand = server if settings.metrics_apiserver else None
    return Defaults(settings.api_image, settings.redis_image, restrictions, on_demand)


async def relist(connection: Connection, settings: Settings, queue: WorkQueue[Ref], telemetry: Telemetry) -> None:
    """Enqueue, now and then, every ChatDeployment for which there was no watch event."""
    while True:
        await asyncio.sleep(RELIST_SECONDS)
        with suppress(ClusterError):
            async for ref in list_chatdeployments(connection, settings.namespaces):
                if settings.serves(ref.namespace) and ref not in queue:
                    telemetry.missed_event()
                    queue.enqueue(ref)


async def _until_served(connection: Connection) -> None:
    """Wait for our CRD, which may be installed after the operator."""
    wanted = f"the CustomResourceDefinition {names.PLURAL}.{names.GROUP}"
    while True:
        try:
            if await connection.serves(f"apis/{names.API_VERSION}", names.PLURAL):
                return
            logger.info("Waiting for %s", wanted)
        except ClusterError as error:
            logger.warning("Waiting for %s: %s", wanted, error)
        await asyncio.sleep(CRD_SECONDS)


def main() -> str | None:
    """Run the operator until SIGTERM or SIGINT; returns why it ended before that."""
    gc.freeze()  # what was imported is there to the end
    gc.enable()
    try:
        asyncio.run(_run(os.environ))
    except (BadSettings, FatalError, ClusterError) as failed:
        return f"chatfleet-operator: {failed}"
    return None


async def _run(environ: Mapping[str, str]) -> None:
    settings = read_settings(environ)
    set_up_logging(settings.log_level.value, settings.log_format)
    for handler in logging.getLogger().handlers:
        handler.addFilter(watches.ExpectedErrors())
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    heartbeat = LoopHeartbeat(threading.Event(), time.monotonic)
    heartbeat.record()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = serve(health_app(heartbeat, registry), settings.health_port)
    try:
        await Operator(settings, Telemetry(registry), heartbeat).run(environ, stop)
    finally:
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
