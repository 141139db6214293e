"""Plays rows: many at once, each in a namespace of its own, and measures until each is reported and healed.

Every look is one list of all ChatDeployments, so that looking costs little. A time begins before the step that causes
it, and ends with the first look that finds it over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Literal

import msgspec

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import LONGEST_SECONDS, NAME, OWN_REDIS, Case, Drift, Fault, Needs, Row
from chatfleet_lab.faults.rows.manifests import secret
from chatfleet_operator.model.values import Manifest
from harness.kube.objects import Objects
from harness.polling import eventually_async

LOOK_SECONDS: Final = 0.25
SETTLE_SECONDS: Final = 120.0
TRUE_WHEN_WELL: Final = frozenset(
    {ConditionType.CONFIGURATION_VALID, ConditionType.REDIS_AVAILABLE, ConditionType.UPSTREAMS_AVAILABLE}
)
COUNTED: Final = frozenset({"resourceVersion", "generation", "managedFields", "uid", "creationTimestamp"})
"""Metadata in which a repaired object may differ."""

REVISION: Final = "deployment.kubernetes.io/revision"

Place = Literal["API server", "node"]


class Measured(msgspec.Struct, frozen=True):
    """What one row showed."""

    name: str
    place: Place
    condition: str
    """Empty: it is repaired, and not reported."""
    reason: str
    words: tuple[str, ...]
    message: str
    """Of the condition."""
    reported: float | None
    """Seconds; None: not at all."""
    healed: float | None
    lost: bool = False
    """Whether it was not in the condition for a moment while it lasted."""

    def within(self, seconds: float) -> bool:
        """Return whether it was reported, and went with its cause, in so many seconds."""
        reported = self.reported is not None and self.reported <= seconds and not self.lost
        return (reported or not self.condition) and self.healed is not None and self.healed <= seconds


@dataclass
class Played:
    """A row, its namespace, and what is known of it by now."""

    row: Row
    case: Case
    began: float = 0.0
    reported: float | None = None
    healed: float | None = None
    message: str = ""
    lost: bool = False
    before: Manifest | None = None
    live: Manifest = field(default_factory=dict)
    """The ChatDeployment."""

    def condition(self, kind: ConditionType | None = None) -> Manifest:
        """Return a condition, that of the row by default; empty: there is none yet."""
        wanted = kind or (self.row.condition if isinstance(self.row, Fault) else None)
        conditions = (self.live.get("status") or {}).get("conditions") or []
        return next((each for each in conditions if each["type"] == wanted), {})

    def is_reported(self) -> bool:
        if isinstance(self.row, Drift):
            return True
        found = [self.condition(), *([self.condition(ConditionType.READY)] if self.row.in_ready else [])]
        has_words = all(word in each.get("message", "") for each in found for word in self.row.words)
        reported = has_words and found[0].get("reason") == self.row.reason
        self.message = found[0]["message"] if reported else self.message
        return reported

    def is_healed(self) -> bool:
        if isinstance(self.row, Drift):
            live = shape(self.case.objects.get(self.row.what))
            return live is not None and (self.row.repaired(live) if self.row.repaired else live == self.before)
        if self.row.condition in TRUE_WHEN_WELL and self.row.reason is not Reason.CONNECTED:
            return bool(self.condition().get("status") == "True")
        return not self.is_reported()

    def is_current(self) -> bool:
        """Return whether the status is about the spec."""
        if isinstance(self.row, Fault) and self.row.starts:
            return True
        status: Manifest = self.live.get("status") or {}
        return bool(self.live) and status.get("observedGeneration") == self.live["metadata"]["generation"]

    def is_settled(self) -> bool:
        """Return whether what the row is about is there, and serves where it should."""
        if self.row.needs is Needs.SERVING and self.condition(ConditionType.READY).get("status") != "True":
            return False
        if isinstance(self.row, Fault):
            return bool(self.row.settles(self.case))
        self.before = shape(self.case.objects.get(self.row.what))
        return self.before is not None


def shape(live: Manifest | None) -> Manifest | None:
    """Return what of an object must be as it was."""
    if live is None or "deletionTimestamp" in live["metadata"]:
        return None
    metadata = {key: value for key, value in live["metadata"].items() if key not in COUNTED}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != REVISION}
    kept = {key: value for key, value in live.items() if key not in {"metadata", "status"}}
    spec = {key: value for key, value in live.get("spec", {}).items() if key not in {"clusterIP", "clusterIPs"}}
    return {**kept, "metadata": {**metadata, "annotations": annotations}, "spec": spec}


@dataclass
class Driver:
    """Plays rows at one place."""

    objects: Objects
    place: Place
    at_once: int = 16
    prefix: str = "fault"
    log: Callable[[str], object] = print
    equip: Callable[[Row, Case, AsyncExitStack], Awaitable[None]] | None = None
    """Makes the tools of cases."""
    lasts: float = 0.0
    """Seconds that every fault lasts at least."""
    _numbers: Iterable[int] = field(default_factory=lambda: count(1))

    async def play(self, rows: Sequence[Row]) -> list[Measured]:
        """Play all rows, those that are about the whole cluster one after the other."""
        alone = [row for row in rows if isinstance(row, Fault) and row.alone]
        together = [row for row in rows if row not in alone]
        starts = range(0, len(together), self.at_once)
        waves: list[Sequence[Row]] = [
            *(together[start : start + self.at_once] for start in starts),
            *([row] for row in alone),
        ]
        measured = [each for wave in waves for each in await self.wave(wave)]
        order = [row.name for row in rows]
        return sorted(measured, key=lambda each: order.index(each.name))

    async def wave(self, rows: Sequence[Row]) -> list[Measured]:
        """Play rows at the same time."""
        played = [self._prepared(row) for row in rows]
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._each, self._clean_up, played)
            await self._each(self._make_namespace, played)
            if self.equip:
                await asyncio.gather(*(self.equip(each.row, each.case, stack) for each in played))
            await self._each(self._set_up, played)
            watching = asyncio.ensure_future(self._watch(played))
            stack.callback(watching.cancel)
            await self._until(played, Played.is_current, SETTLE_SECONDS)
            await self._each(lambda each: each.row.before(each.case), played)
            await self._until(played, Played.is_settled, SETTLE_SECONDS)
            await asyncio.gather(*(self._reported(each) for each in played))
            await self._last(played)
            await asyncio.gather(*(self._healed(each) for each in played))
            return [self._measured(each) for each in played]

    async def _each(self, step: Callable[[Played], object], played: Sequence[Played]) -> None:
        await asyncio.gather(*(asyncio.to_thread(step, each) for each in played))

    def _prepared(self, row: Row) -> Played:
        namespace = f"{self.prefix}-{next(iter(self._numbers))}"
        return Played(row, Case(namespace, self.objects.within(namespace), row.spec))

    def _make_namespace(self, played: Played) -> None:
        objects = played.case.objects
        objects.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": played.case.namespace}})
        objects.apply(secret("own", url=OWN_REDIS))

    def _set_up(self, played: Played) -> None:
        row, objects = played.row, played.case.objects
        if isinstance(row, Drift):
            played.case.apply()
            return
        for each in row.objects:
            objects.apply(each)
        if not row.starts:
            played.case.apply()

    async def _watch(self, played: Sequence[Played]) -> None:
        """Look at all ChatDeployments again and again."""
        by_namespace = {each.case.namespace: each for each in played}
        while True:
            for live in await asyncio.to_thread(self.objects.every, "chatdeployment"):
                if each := by_namespace.get(live["metadata"]["namespace"]):
                    each.live = live
            await asyncio.sleep(LOOK_SECONDS)

    async def _until(self, played: Sequence[Played], holds: Callable[[Played], bool], seconds: float) -> None:
        async def one(each: Played) -> None:
            await eventually_async(lambda: asyncio.to_thread(holds, each), seconds=seconds, every=LOOK_SECONDS)

        await asyncio.gather(*map(one, played))

    async def _timed(
        self, played: Played, step: Callable[[Case], Any], holds: Callable[[Played], bool]
    ) -> float | None:
        """Take a step and return the seconds until something holds; None: it never does."""

        def taken() -> float:
            began = time.monotonic()
            step(played.case)
            return began

        patience = played.row.patience if isinstance(played.row, Fault) else LONGEST_SECONDS
        began = await asyncio.to_thread(taken)
        try:
            await self._until([played], holds, patience)
        except TimeoutError:
            self.log(f"{played.row.name}: not within {patience:g} s; last: {played.condition()}")
            return None
        return round(time.monotonic() - began, 1)

    async def _reported(self, played: Played) -> None:
        played.began = time.monotonic()
        if isinstance(played.row, Fault):
            played.reported = await self._timed(played, played.row.inject, Played.is_reported)

    async def _last(self, played: Sequence[Played]) -> None:
        """Let faults last as long as they should, and see that they stay reported."""
        faults = [each for each in played if isinstance(each.row, Fault) and each.reported is not None]
        seconds = [max(self.lasts, each.row.lasts) for each in faults if isinstance(each.row, Fault)]
        until = max((each.began + lasts for each, lasts in zip(faults, seconds, strict=True)), default=0.0)
        while time.monotonic() < until:
            for each in faults:
                each.lost = each.lost or not each.is_reported()
            await asyncio.sleep(LOOK_SECONDS)

    async def _healed(self, played: Played) -> None:
        """Remove the cause, or of a drift: cause it, since the operator removes it."""
        step = played.row.inject if isinstance(played.row, Drift) else played.row.heal
        if isinstance(played.row, Fault) and played.reported is None:
            await asyncio.to_thread(step, played.case)
            return
        played.healed = await self._timed(played, step, Played.is_healed)

    def _clean_up(self, played: Played) -> None:
        if isinstance(played.row, Fault):
            played.row.after(played.case)
        played.case.objects.delete(f"chatdeployment/{NAME}")
        played.case.objects.delete(f"namespace/{played.case.namespace}")

    def _measured(self, played: Played) -> Measured:
        row = played.row
        about = (row.condition.value, row.reason.value, row.words) if isinstance(row, Fault) else ("", "", ())
        message = played.message or str(played.condition().get("message", ""))
        measured = Measured(row.name, self.place, *about, message, played.reported, played.healed, played.lost)
        self.log(f"{row.name}: reported in {measured.reported} s, healed in {measured.healed} s, {message!r}")
        return measured
