"""The composition root: what it finds without events, and how it ends."""

import asyncio
import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry
from typing_extensions import override

from chatfleet_contract import metrics
from chatfleet_operator import watches
from chatfleet_operator.__main__ import RELIST_SECONDS, relist, timestamp
from chatfleet_operator.kube.connection import Connection
from chatfleet_operator.model.errors import Retry
from chatfleet_operator.model.requeue import Requeue, Result
from chatfleet_operator.model.values import Manifest, Ref
from chatfleet_operator.process.settings import Settings
from chatfleet_operator.process.telemetry import Telemetry
from chatfleet_operator.process.workqueue import WorkQueue


class Lists(Connection):
    """A connection that has two pages of ChatDeployments, and fails the first time."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    @override
    async def read(self, kind: str, namespace: str, *_rest: str, query: Mapping[str, str] | None = None) -> Manifest:
        following = (query or {}).get("continue")
        self.asked.append((namespace, following))
        if len(self.asked) == 1:
            raise Retry("timeout")
        return page(*("ac" if following else "b"), following=None if following else "2")


def page(*names: str, following: str | None) -> Manifest:
    items = [{"metadata": {"namespace": place, "name": name}} for place in ("shop", "desk") for name in names]
    return {"items": items, "metadata": {"continue": following} if following else {}}


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_what_had_no_watch_event_is_relisted_counted_and_enqueued() -> None:
    async def work(ref: Ref) -> Result:
        passes.append(ref.name)
        return Result(Requeue.SETTLED)

    passes: list[str] = []
    registry = CollectorRegistry()
    telemetry = Telemetry(registry)
    queue: WorkQueue[Ref] = WorkQueue(work, telemetry, lambda: 0.5)
    queue.enqueue(Ref("shop", "a"))
    lists = Lists()
    settings = Settings(deny_namespaces=("desk",))
    tasks = [asyncio.create_task(each) for each in (queue.run(), relist(lists, settings, queue, telemetry))]
    await asyncio.sleep(2 * RELIST_SECONDS + 1)

    assert set(passes) == {"a", "b", "c"}
    assert registry.get_sample_value(metrics.WATCH_EVENTS_MISSED_TOTAL) == 2
    assert lists.asked == [("", None), ("", None), ("", "2")]
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_moment_is_written_as_kubernetes_does() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", timestamp())


@pytest.mark.parametrize(
    ("module", "environ", "words"),
    [
        ("operator", {"OPERATOR_WORKERS": "many"}, "chatfleet-operator: CHATFLEET_OPERATOR_WORKERS: "),
        ("operator", {"OPERATOR_HEALTH_PORT": "0"}, "chatfleet-operator: no configuration for a cluster: "),
        ("metrics", {"METRICS_APISERVER_HEALTH_PORT": "0"}, "chatfleet-metrics-apiserver: no configuration for a "),
    ],
)
def test_what_cannot_work_ends_in_one_sentence(module: str, environ: Mapping[str, str], words: str) -> None:
    command = (sys.executable, "-m", f"chatfleet_{module}")
    variables = {f"CHATFLEET_{name}": value for name, value in environ.items()}
    ended = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "KUBECONFIG": "/nowhere/config", **variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_of_kopf_only_expected_errors_are_shortened(caplog: pytest.LogCaptureFixture) -> None:
    shortens = watches.ExpectedErrors()
    for name, error, kept in (
        ("kopf.reactor", TimeoutError("late"), False),
        ("kopf.reactor", KeyError("a fault of ours"), True),
        ("chatfleet_operator.process.workqueue", TimeoutError("late"), True),
    ):
        logging.getLogger(name).error("It has failed", exc_info=error)
        assert shortens.filter(caplog.records[-1])
        assert bool(caplog.records[-1].exc_info) is kept
