"""An API server in memory, as far as a pass can tell: `ports.Cluster` with server-side apply, uids and generations.

What it promises is what `tests/cluster/operator/test_conformance.py` asks of it and of a real kube-apiserver alike.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from chatfleet_contract import names
from chatfleet_contract.status import ChatDeploymentStatus
from chatfleet_operator.children.kinds import WORKLOADS, list_keys
from chatfleet_operator.children.redis import blank_generated, generated_values
from chatfleet_operator.kube.events import newest_failure
from chatfleet_operator.model.compare import ListKeys, item_key
from chatfleet_operator.model.errors import RefusalReason, Refused, Retry
from chatfleet_operator.model.named_secrets import NamedSecret
from chatfleet_operator.model.ownership import GENERATE_MANAGER, SCALE_MANAGER
from chatfleet_operator.model.parse import blank_values, parse_resource, parse_secret
from chatfleet_operator.model.put_back import ATOMIC_MAPS
from chatfleet_operator.model.token_issuer import TokenIssuer
from chatfleet_operator.model.values import (
    Deletion,
    Manifest,
    ObjectId,
    Ref,
    Removal,
    Resource,
    Timestamp,
    identify,
)

WITH_GENERATION = WORKLOADS | {names.KIND}
"""Kinds whose generation is read; it counts changes of their spec. Real API servers count that of others too."""


OPERATOR = "chatfleet-system"
ISSUER = TokenIssuer("https://kubernetes.default.svc.cluster.local", '{"keys": []}')


class Crashed(BaseException):  # not an error that anybody may handle: the process is gone
    """The operator died here."""


@dataclass
class FakeCluster:
    """One API server. `writes` remembers what was written, in order."""

    objects: dict[tuple[str, ObjectId], Manifest] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    before_write: Callable[[str], None] = lambda _: None
    """Called with the description of each write before it happens; may raise."""
    after_write: Callable[[str], None] = lambda _: None
    """Called after each write; may raise, as when the process dies."""
    before_read: Callable[[str], None] = lambda _: None
    operator: str = OPERATOR
    """Namespace of the operator that writes."""
    moment: str = ""
    """Time of what happens, as Kubernetes writes it; empty: objects have no times."""
    issuer: TokenIssuer = ISSUER
    unserved: set[str] = field(default_factory=set)
    """Kinds whose CustomResourceDefinition is not installed."""
    _applied: dict[tuple[str, ObjectId], dict[str, Manifest]] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    # What people and controllers do

    def put(self, manifest: Manifest, manager: str = "kubectl") -> Manifest:
        """Create an object as somebody else would."""
        key = self._key(manifest)
        live = deepcopy(manifest)
        number = next(self._numbers)
        metadata = live["metadata"]
        metadata.update(uid=f"uid-{number}", resourceVersion=str(number), managedFields=[{"manager": manager}])
        metadata.update({"creationTimestamp": self.moment} if self.moment else {})
        if live["kind"] in WITH_GENERATION:
            metadata["generation"] = 1
        if live["kind"] == "Service":
            live["spec"].setdefault("clusterIP", f"198.51.100.{number % 250 + 1}")
        self.objects[key] = live
        return deepcopy(live)

    def edit(self, namespace: str, key: ObjectId, change: Callable[[Manifest], object], manager: str = "hand") -> None:
        """Change an object in place as somebody else would."""
        live = deepcopy(self.objects[namespace, key])
        change(live)
        self._store((namespace, key), live, manager)

    def remove(self, namespace: str, key: ObjectId) -> None:
        """Delete an object as somebody else would."""
        del self.objects[namespace, key]
        self._applied.pop((namespace, key), None)

    def get(self, namespace: str, key: ObjectId) -> Manifest:
        """Return an object with everything in it."""
        return deepcopy(self.objects[namespace, key])

    # ports.Cluster

    async def resource(self, ref: Ref) -> Resource | None:
        self.before_read(f"get {names.KIND} {ref.name}")
        live = self.objects.get((ref.namespace, ObjectId(names.KIND, ref.name)))
        return parse_resource(deepcopy(live)) if live else None

    async def child(self, namespace: str, key: ObjectId) -> Manifest | None:
        self.before_read(f"get {key}")
        live = self.objects.get((namespace, key))
        return blank_generated(deepcopy(live)) if live else None

    async def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[Manifest]:
        self.before_read("list Pod")
        return [
            deepcopy(live)
            for (place, key), live in sorted(self.objects.items())
            if place == namespace
            and key.kind == "Pod"
            and labels.items() <= (live["metadata"].get("labels") or {}).items()
        ]

    async def event(self, namespace: str, uid: str) -> str:
        self.before_read(f"list Event {uid}")
        events = [live for (place, key), live in self.objects.items() if place == namespace and key.kind == "Event"]
        return newest_failure(each for each in events if each["regarding"].get("uid") == uid)

    async def secret(self, namespace: str, name: str, redis_url_key: str = "") -> NamedSecret:
        self.before_read(f"get Secret {name}")
        return parse_secret(deepcopy(self.objects.get((namespace, ObjectId("Secret", name)))), redis_url_key)

    async def token_issuer(self) -> TokenIssuer:
        self.before_read("get Keys")
        return self.issuer

    async def apply(self, manifest: Manifest, uid: str | None) -> Manifest:
        self._about_to(f"apply {identify(manifest)}")
        live = self.objects.get(self._key(manifest))
        if live and not uid:
            raise Retry("the object has been modified")
        if uid and (live is None or live["metadata"]["uid"] != uid):
            raise Retry("Precondition failed: UID in precondition and in object meta differ")
        return self._apply(self._signed(manifest), names.FIELD_MANAGER)

    def _signed(self, manifest: Manifest) -> Manifest:
        head: Manifest = manifest["metadata"]
        annotations = {**(head.get("annotations") or {}), names.ANNOTATION_OPERATOR: self.operator}
        return {**manifest, "metadata": {**head, "annotations": annotations}}

    async def hand_over_replicas(self, manifest: Manifest) -> Manifest:
        self._about_to(f"hand over replicas of {identify(manifest)}")
        live = self.objects.get(self._key(manifest))
        if live is None or live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise Retry("the object has been modified")
        head = {key: text for key, text in manifest["metadata"].items() if key != "resourceVersion"}
        return self._apply({**manifest, "metadata": head}, SCALE_MANAGER)

    async def start(self, manifest: Manifest) -> None:
        self._about_to(f"start {identify(manifest)}")
        key = self._key(manifest)
        if (
            key not in self.objects
            or self.objects[key]["metadata"]["resourceVersion"] != (manifest["metadata"]["resourceVersion"])
        ):
            raise Retry("the object has been modified")
        live = self.get(*key)
        self._store(key, {**live, "spec": {**live["spec"], **manifest["spec"]}}, SCALE_MANAGER)
        self.after_write(self.writes[-1])

    def _apply(self, manifest: Manifest, manager: str) -> Manifest:
        with_key = self._key(manifest)
        kind = with_key[1].kind
        if kind in self.unserved:
            raise Refused("404 page not found", RefusalReason.NO_KIND)
        live = self.objects.get(with_key)
        if live is None:
            live = self.put({**manifest, "metadata": dict(manifest["metadata"])}, manager)
        mine = self._applied.setdefault(with_key, {})
        others = [applied for name, applied in mine.items() if name != manager]
        merge = _Merge(list_keys(kind))
        kept = merge.without(live, mine.get(manager, {}), [manifest, *others])
        mine[manager] = deepcopy(manifest)
        self._store(with_key, merge.merged(kept, manifest), manager)
        self.after_write(self.writes[-1])
        return blank_values(self.get(*with_key))

    async def remove_fields(self, namespace: str, removal: Removal) -> Manifest:
        self._about_to(f"remove fields of {removal.id}")
        live = self.get(namespace, removal.id)
        if live["metadata"]["resourceVersion"] != removal.version:
            raise Retry("the object has been modified")
        for pointer in removal.pointers:
            *parents, last = pointer.split("/")[1:]
            holder: Any = live
            for part in parents:
                holder = holder[int(part) if isinstance(holder, list) else part]
            del holder[int(last) if isinstance(holder, list) else last]
        self._store((namespace, removal.id), live, names.FIELD_MANAGER)
        self.after_write(self.writes[-1])
        return self.get(namespace, removal.id)

    async def generate(self, secret: Manifest) -> Manifest:
        self._about_to(f"generate {identify(secret)}")
        if self._key(secret) in self.objects:
            raise Retry(f'secrets "{secret["metadata"]["name"]}" already exists')
        data = generated_values(secret, f"drawn-{next(self._numbers)}")
        live = self.put({**self._signed(secret), "data": data}, GENERATE_MANAGER)
        self.after_write(self.writes[-1])
        return blank_values(live)

    async def delete(self, namespace: str, deletion: Deletion) -> None:
        self._about_to(f"delete {deletion.id}")
        live = self.objects.get((namespace, deletion.id))
        if live and live["metadata"]["uid"] != deletion.uid:
            raise Retry("Precondition failed: UID in precondition and in object meta differ")
        if live and deletion.version not in {"", live["metadata"]["resourceVersion"]}:
            raise Retry("Precondition failed: ResourceVersion in precondition and in object meta differ")
        if live:
            self.remove(namespace, deletion.id)
        self.after_write(self.writes[-1])

    async def refresh_config(self, namespace: str, pod: str, digest: str) -> None:
        self._about_to(f"refresh config of Pod {pod}")
        self._annotate(namespace, pod, {names.ANNOTATION_CONFIG_HASH: digest})

    async def refresh_secrets(self, namespace: str, pod: str, digest: str) -> None:
        self._about_to(f"refresh Secrets of Pod {pod}")
        self._annotate(namespace, pod, {names.ANNOTATION_SECRETS_HASH: digest})

    async def set_deletion_cost(self, namespace: str, pod: str, cost: int, now: Timestamp) -> None:
        self._about_to(f"set deletion cost of Pod {pod} {cost}")
        annotations = {names.POD_DELETION_COST: str(cost), names.ANNOTATION_DELETION_COST_TIME: now}
        self._annotate(namespace, pod, annotations)

    async def retry(self, namespace: str, key: ObjectId, now: Timestamp) -> None:
        self._about_to(f"retry {key}")
        if (namespace, key) in self.objects:
            live = self.get(namespace, key)
            live["metadata"].setdefault("annotations", {})[names.ANNOTATION_RETRY_TIME] = now
            self._store((namespace, key), live, names.FIELD_MANAGER)
        self.after_write(self.writes[-1])

    async def write_status(self, resource: Resource, status: ChatDeploymentStatus) -> None:
        self._about_to(f"status {resource.ref.name}")
        key = (resource.ref.namespace, ObjectId(names.KIND, resource.ref.name))
        if key not in self.objects or self.objects[key]["metadata"]["resourceVersion"] != resource.version:
            raise Retry("the object has been modified")
        self._store(key, {**self.get(*key), "status": status.document()}, names.FIELD_MANAGER)
        self.after_write(self.writes[-1])

    # Inside

    def _annotate(self, namespace: str, pod: str, annotations: Mapping[str, str]) -> None:
        key = (namespace, ObjectId("Pod", pod))
        if key in self.objects:
            live = self.get(*key)
            live["metadata"].setdefault("annotations", {}).update(annotations)
            self._store(key, live, names.FIELD_MANAGER)
        self.after_write(self.writes[-1])

    def _about_to(self, write: str) -> None:
        self.before_write(write)
        self.writes.append(write)

    @staticmethod
    def _key(manifest: Manifest) -> tuple[str, ObjectId]:
        return manifest["metadata"]["namespace"], identify(manifest)

    def _store(self, key: tuple[str, ObjectId], live: Manifest, manager: str) -> None:
        before = self.objects[key]
        applied = self._applied.get(key, {})
        _take_over(applied, before, live, manager)
        metadata = live["metadata"]
        known = {entry["manager"]: entry.get("time") for entry in metadata.get("managedFields") or []}
        metadata["managedFields"] = [
            _entry(name, applied.get(name), known.get(name)) for name in {**known, manager: None}
        ]
        if live == before:
            return
        known[manager] = self.moment
        metadata["managedFields"] = [_entry(name, applied.get(name), time) for name, time in known.items()]
        metadata["resourceVersion"] = str(next(self._numbers))
        if live["kind"] in WITH_GENERATION and live.get("spec") != before.get("spec"):
            metadata["generation"] += 1
        self.objects[key] = live


def _entry(manager: str, applied: Manifest | None, time: str | None) -> Manifest:
    """Return what managedFields say of a manager, as deep as anybody here looks: the fields of the spec."""
    written = {"time": time} if time else {}
    if applied is None:
        return {"manager": manager, "operation": "Update", **written}
    fields: Manifest = {f"f:{name}": {} for name in applied.get("spec") or {}}
    return {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": fields}, **written}


def _take_over(applied: dict[str, Manifest], before: Manifest, live: Manifest, manager: str) -> None:
    """Take the plain fields of the spec that `manager` has changed from the others who held them."""
    old, new = before.get("spec") or {}, live.get("spec") or {}
    changed = {name for name, value in new.items() if value != old.get(name) and not isinstance(value, dict | list)}
    for other in applied.keys() - {manager}:
        spec = applied[other].get("spec") or {}
        applied[other] = {**applied[other], "spec": {name: spec[name] for name in spec if name not in changed}}


def refuse(*writes: str, words: str = "denied by policy") -> Callable[[str], None]:
    """Return a `before_write` that refuses the writes that begin with one of `writes`."""

    def check(write: str) -> None:
        if write.startswith(writes):
            raise Refused(words)

    return check


@dataclass(frozen=True)
class _Merge:
    """Server-side apply's merging of objects of one kind."""

    list_keys: ListKeys

    def merged(self, live: Any, wanted: Any, field: str = "") -> Any:  # noqa: ANN401  # JSON
        """Return `live` with everything that `wanted` sets."""
        if isinstance(live, dict) and isinstance(wanted, dict) and field not in ATOMIC_MAPS:
            return {**live, **{key: self.merged(live.get(key), value, key) for key, value in wanted.items()}}
        if isinstance(live, list) and isinstance(wanted, list) and (keys := self.list_keys.get(field)):
            found = {item_key(item, keys): item for item in live}
            wanted_keys = [item_key(item, keys) for item in wanted]
            rest = [item for item in live if item_key(item, keys) not in wanted_keys]
            return [*(self.merged(found.get(item_key(item, keys)), item) for item in wanted), *rest]
        return deepcopy(wanted)

    def without(self, live: Any, given_up: Any, still_wanted: list[Any], field: str = "") -> Any:  # noqa: ANN401  # JSON
        """Return `live` without the fields of `given_up` that none of `still_wanted` has."""
        if isinstance(live, dict) and isinstance(given_up, dict):
            wanted = [each for each in still_wanted if isinstance(each, dict)]
            kept: Manifest = {}
            for key, value in live.items():
                holders = [each[key] for each in wanted if key in each]
                if key not in given_up:
                    kept[key] = value
                elif holders:
                    kept[key] = self.without(value, given_up[key], holders, key)
            return kept
        if isinstance(live, list) and isinstance(given_up, list) and (keys := self.list_keys.get(field)):
            return self._items_without(live, given_up, [item for each in still_wanted for item in each], keys)
        return live

    def _items_without(
        self, live: list[Any], given_up: list[Any], wanted: list[Any], keys: tuple[str, ...]
    ) -> list[Any]:
        old = {item_key(item, keys): item for item in given_up}

        def holders_of(key: tuple[object, ...]) -> list[Any]:
            return [item for item in wanted if item_key(item, keys) == key]

        by_key = [(item_key(item, keys), item) for item in live]
        kept = [(key, item) for key, item in by_key if key not in old or holders_of(key)]
        return [self.without(item, old.get(key), holders_of(key)) for key, item in kept]
