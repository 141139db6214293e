"""Repairs of what others changed, and back-off where the same client changes it again after each of them.

A repair is immediate. After several of the same field against the same writer, each soon after the one before, that is
a conflict: the next repairs are delayed, each twice as long, and conditions and metrics name the writer.
"""

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from chatfleet_contract import names
from chatfleet_contract.status import ChatDeploymentStatus
from chatfleet_operator.children import possible_children
from chatfleet_operator.children.kinds import list_keys
from chatfleet_operator.model.conflict import Conflict, Writer
from chatfleet_operator.model.difference import dotted, first_difference, holder_of, writer_of
from chatfleet_operator.model.ownership import is_ours
from chatfleet_operator.model.values import Manifest, ObjectId, Observed, Outcome, Plan, Ref, deployment_id, identify

IMMEDIATE: Final = 5
"""Repairs of one field against one writer without a delay."""

FIRST_DELAY: Final = 1.0
"""Seconds before the next one; doubled by each further repair."""

MAX_DELAY: Final = 300.0
"""Longest delay (seconds)."""

HASH_PATH: Final = ("f:metadata", "f:annotations", f"f:{names.ANNOTATION_LAST_APPLIED_HASH}")

QUIET_SECONDS: Final = 30.0
"""A change that comes later than this, and twice the delay, after the last one is a new one: no conflict."""


class Change(NamedTuple):
    """What a writer changed, against one manifest of ours: a new spec is never a repair."""

    id: ObjectId
    writer: Writer
    field: str
    desired: str
    """Hash of the manifest."""


@dataclass(frozen=True, slots=True)
class Repair:
    """Repairs of one change. Times are those of a monotonic clock."""

    count: int = 0
    repaired_at: float = 0.0
    seen_at: float = 0.0
    """When the change was last seen."""

    @property
    def is_conflict(self) -> bool:
        return self.count >= IMMEDIATE

    @property
    def delay(self) -> float:
        """Return the seconds between the last repair and the next."""
        return min(FIRST_DELAY * 2.0 ** min(self.count - IMMEDIATE, 16), MAX_DELAY) if self.is_conflict else 0.0

    def is_due(self, now: float) -> bool:
        return now - self.repaired_at >= self.delay

    def is_over(self, now: float) -> bool:
        return now - self.seen_at > QUIET_SECONDS + 2 * self.delay


@dataclass(slots=True)
class _Memory:
    """What this process has seen of one ChatDeployment."""

    uid: str
    """Of the ChatDeployment: a successor of the same name begins anew."""
    alive: int = 0
    """The children that existed or are to be repaired, as bits by their position in `possible_children`."""
    current: tuple[Change, ...] = ()
    """What differs in the reconciliation that runs."""
    repairs: dict[Change, Repair] = field(default_factory=dict)
    status: ChatDeploymentStatus | None = None
    """As last written, while there is a conflict with another operator."""


class Repairs:
    """All repairs of this process. After a restart, repairs are immediate again."""

    def __init__(self, operator: str, clock: Callable[[], float]) -> None:
        """`operator` is the namespace of this operator; `clock` is monotonic."""
        self._operator = operator
        self._clock = clock
        self._memories: dict[Ref, _Memory] = {}

    def revise(self, seen: Observed, plan: Plan) -> Plan:
        """Return `plan` with those of its repairs that are due, and with the conflicts."""
        if plan.desired is None or seen.resource.paused:
            return plan
        now, known = self._clock(), self._memories.get(seen.resource.ref)
        known = known if known and known.uid == seen.resource.uid else None
        memory = known or _Memory(seen.resource.uid)
        repairs = {change: repair for change, repair in memory.repairs.items() if not repair.is_over(now)}
        memory.current = tuple(self._changes(seen, plan, known.alive if known else None))
        # An operator that replaces another one writes once what is no repair.
        drifted = {each.id for each in memory.current if each.writer.operator is None or each in repairs}
        for change in memory.current:
            repairs[change] = replace(repairs.get(change, Repair()), seen_at=now)
        memory.repairs = repairs
        self._memories[seen.resource.ref] = memory
        waiting = {change.id for change in memory.current if not repairs[change].is_due(now)}
        changes = {change.id: change for change, repair in repairs.items() if repair.is_conflict}
        conflicts = [Conflict(*key, change.writer, change.field, self._operator) for key, change in changes.items()]
        return replace(
            _without(plan, waiting, deployment_id(seen.resource.ref)),
            drifted=frozenset(drifted - waiting),
            conflicts=tuple(sorted(conflicts)),
        )

    def record(self, seen: Observed, plan: Plan, outcome: Outcome) -> None:
        """Remember what was repaired, and which children exist now."""
        memory = self._memories.get(seen.resource.ref)
        if plan.desired is None or memory is None:
            return
        for change in memory.current:
            if change.id in outcome.applied:
                repair = memory.repairs[change]
                memory.repairs[change] = replace(repair, count=repair.count + 1, repaired_at=self._clock())
        wanted = {identify(child) for child in plan.desired.children}
        ours = {key for key, live in seen.children.items() if is_ours(live, seen.resource)} | outcome.applied.keys()
        waiting = {change.id for change in memory.current}
        memory.alive = _bits(seen.resource.ref, wanted & (ours | waiting))

    def is_overwritten(self, ref: Ref, status: ChatDeploymentStatus) -> bool:
        """Whether this status was written before, and another operator replaced it: writing it again is a fight."""
        memory = self._memories.get(ref)
        return memory is not None and memory.status == status

    def reported(self, ref: Ref, plan: Plan, status: ChatDeploymentStatus) -> None:
        """Remember the status that was written."""
        if memory := self._memories.get(ref):
            contended = any(conflict.writer.operator is not None for conflict in plan.conflicts)
            memory.status = status if contended else None

    def forget(self, ref: Ref) -> None:
        """Forget a deleted ChatDeployment."""
        self._memories.pop(ref, None)

    def _changes(self, seen: Observed, plan: Plan, alive: int | None) -> Iterator[Change]:
        """Yield what others changed; `alive`: the children that existed before, None in the first reconciliation."""
        for child in (*plan.generate, *plan.apply):
            key, live = identify(child), seen.children.get(identify(child))
            if live is None:
                existed = key in plan.drifted if alive is None else bool(alive & _bits(seen.resource.ref, {key}))
                if existed:
                    yield Change(key, Writer(), "", _hash(child))
                continue
            path = first_difference(live, child, list_keys(key.kind))
            writer = Writer(writer_of(live, path), self._other_operator(live, child))
            if key in plan.drifted or writer.operator is not None or _is_hash_edited(live):
                yield Change(key, writer, dotted(path), _hash(child))
        for removal in plan.remove_fields:
            live = seen.children[removal.id]
            field_name = removal.pointers[0].removeprefix("/").replace("/", ".")
            yield Change(removal.id, Writer(writer_of(live, ())), field_name, _hash(live))

    def _other_operator(self, live: Manifest, child: Manifest) -> str | None:
        """Return the namespace of the operator that applied another manifest than ours; None: there is none."""
        applied, operator = _hash(live), _annotation(live, names.ANNOTATION_OPERATOR)
        return None if not applied or applied == _hash(child) or operator == self._operator else operator


def _without(plan: Plan, waiting: AbstractSet[ObjectId], deployment: ObjectId) -> Plan:
    if not waiting:
        return plan
    return replace(
        plan,
        generate=tuple(child for child in plan.generate if identify(child) not in waiting),
        apply=tuple(child for child in plan.apply if identify(child) not in waiting),
        remove_fields=tuple(removal for removal in plan.remove_fields if removal.id not in waiting),
        hand_over_replicas=None if deployment in waiting else plan.hand_over_replicas,
    )


def _bits(ref: Ref, keys: AbstractSet[ObjectId]) -> int:
    return sum(1 << place for place, key in enumerate(possible_children(ref.name)) if key in keys)


def _is_hash_edited(live: Manifest) -> bool:
    """Whether others wrote or removed the hash itself, by which drift is distinguished from a new spec."""
    return not _hash(live) or bool(holder_of(live, HASH_PATH))


def _annotation(manifest: Manifest, name: str) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(name, ""))


def _hash(manifest: Manifest) -> str:
    return _annotation(manifest, names.ANNOTATION_LAST_APPLIED_HASH)
