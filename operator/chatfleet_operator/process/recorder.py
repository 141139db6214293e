"""`ports.Recorder`: Kubernetes Events about changed conditions, rate-limited for each object; it never fails.

The same change within half an hour becomes one Event with a series, as kubectl shows it (`x12 over 5m`).
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol, TypeVar

from chatfleet_contract import names
from chatfleet_contract.status import Condition
from chatfleet_operator.model.errors import ClusterError
from chatfleet_operator.model.values import Manifest, Notice, Resource
from chatfleet_operator.status.events import is_warning

BURST: Final = 20
"""Tokens of an object's bucket: Events that it may have at once."""

REFILL: Final = timedelta(seconds=30)
"""Time after which the bucket gets one token."""

SERIES: Final = timedelta(minutes=30)
"""Time within which equal Events are counted as one."""

MAX_REMEMBERED: Final = 4096
"""Limit of remembered objects and Events; the oldest are evicted first, at the cost of a further Event."""

MAX_NOTE: Final = 1024
"""Longest note that the API server accepts (bytes)."""

K = TypeVar("K")
V = TypeVar("V")

logger = logging.getLogger(__name__)


class EventSink(Protocol):
    """Where Events are written. Raises `errors.ClusterError`."""

    async def create(self, event: Manifest) -> None:
        """Write a new Event."""
        ...

    async def count(self, namespace: str, name: str, series: Manifest) -> None:
        """Write how often an Event has happened."""
        ...


class _Entry(NamedTuple):
    """What an Event states."""

    reason: str
    note: str
    normal: bool


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    last: datetime


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


class EventRecorder:
    def __init__(
        self, sink: EventSink, reporter: str, now: Callable[[], datetime], dropped: Callable[[], None]
    ) -> None:
        """`reporter` is this operator's pod; `dropped` is called for every Event that is not written."""
        self._sink = sink
        self._reporter = reporter
        self._now = now
        self._dropped = dropped
        self._series: OrderedDict[tuple[str, str], _Series] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    async def record(self, resource: Resource, condition: Condition) -> None:
        note = f"{condition.type} is {condition.status.value}: {condition.message}"
        await self._record(resource, _Entry(condition.reason, note, normal=not is_warning(condition)))

    async def notice(self, resource: Resource, notice: Notice) -> None:
        await self._record(resource, _Entry(notice.reason, notice.message, normal=False))

    async def _record(self, resource: Resource, entry: _Entry) -> None:
        """Write an Event. Failures are counted and logged."""
        moment = self._now()
        if not self._take_token(resource.uid, moment):
            self._dropped()
            return
        try:
            await self._write(resource, entry, moment)
        except ClusterError as error:
            self._dropped()
            logger.warning("Event was not written: %s", error, extra={"object": str(resource.ref)})

    def _take_token(self, uid: str, moment: datetime) -> bool:
        bucket = self._buckets.setdefault(uid, _Bucket(BURST, moment))
        bucket.tokens = min(BURST, bucket.tokens + (moment - bucket.at) / REFILL)
        bucket.at = moment
        _evict_oldest(self._buckets, uid)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def _write(self, resource: Resource, entry: _Entry, moment: datetime) -> None:
        key = (resource.uid, f"{entry.reason} {entry.note}")
        known = self._series.get(key)
        if known and moment - known.last < SERIES:
            known.count, known.last = known.count + 1, moment
            series = {"count": known.count, "lastObservedTime": _micro(moment)}
            await self._sink.count(resource.ref.namespace, known.name, series)
        else:
            event = _event(resource, entry, self._reporter, moment)
            await self._sink.create(event)
            self._series[key] = _Series(event["metadata"]["name"], 1, moment)
        _evict_oldest(self._series, key)


def _evict_oldest(memory: OrderedDict[K, V], key: K) -> None:
    memory.move_to_end(key)
    while len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)


def _event(resource: Resource, entry: _Entry, reporter: str, moment: datetime) -> Manifest:
    ref = resource.ref
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{ref.name}.{int(moment.timestamp() * 1_000_000):x}", "namespace": ref.namespace},
        "eventTime": _micro(moment),
        "type": "Normal" if entry.normal else "Warning",
        "reason": entry.reason,
        "action": "Reconcile",
        "note": entry.note.encode()[:MAX_NOTE].decode(errors="ignore"),
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": ref.name,
            "namespace": ref.namespace,
            "uid": resource.uid,
        },
        "reportingController": f"{names.GROUP}/operator",
        "reportingInstance": reporter,
    }


def _micro(moment: datetime) -> str:
    """Return `moment` (UTC) as metav1.MicroTime."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
