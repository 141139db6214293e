"""The scrape targets and their last samples: written by the reflector and the scraper, read by the API."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from chatfleet_metrics.samples.pods import Target, target
from chatfleet_metrics.samples.sample import SERVED, History, MetricValue, Sample
from chatfleet_operator.model.values import Manifest


class SampleStore:
    """All pods. Times are those of `clock`; a pod is scraped every `period` seconds."""

    def __init__(self, period: float, clock: Callable[[], float]) -> None:
        self.period = period
        self.clock = clock
        self._targets: dict[str, dict[str, Target]] = {}
        self._histories: dict[str, History] = {}

    def __iter__(self) -> Iterator[Target]:
        """Iterate over a copy: a scrape cycle takes time, and the watch goes on meanwhile."""
        return iter([target for by_name in self._targets.values() for target in by_name.values()])

    def in_namespace(self, namespace: str) -> Mapping[str, Target]:
        return self._targets.get(namespace, {})

    def replace(self, objects: Sequence[Manifest]) -> None:
        """Hold these pods and no others."""
        self._targets = {}
        for pod in objects:
            self.update(pod)
        uids = {pod.uid for pod in self}
        self._histories = {uid: history for uid, history in self._histories.items() if uid in uids}

    def update(self, live: Manifest) -> None:
        """Hold a pod as it is now; it may be new."""
        self._put(live, target(live))

    def delete(self, live: Manifest) -> None:
        """Hold a pod no longer."""
        self._put(live, None)

    def _put(self, live: Manifest, new: Target | None) -> None:
        namespace, name = live["metadata"]["namespace"], live["metadata"]["name"]
        old = self._targets.get(namespace, {}).pop(name, None)
        if old and (new is None or new.uid != old.uid):
            self._histories.pop(old.uid, None)
        if new:
            self._targets.setdefault(namespace, {})[name] = new

    def record(self, pod: Target, values: Mapping[str, float]) -> None:
        """Add a sample of `pod`, unless the pod has been deleted or replaced meanwhile."""
        sample, history = Sample(self.clock(), values), self._histories.get(pod.uid)
        current = self.in_namespace(pod.namespace).get(pod.name)
        if current and current.uid == pod.uid:  # and no successor of the same name
            self._histories[pod.uid] = history.append(sample) if history else History(sample)

    def value(self, uid: str, metric: str) -> MetricValue | None:
        """Return `metric` of a pod; None when there is no fresh sample."""
        history = self._histories.get(uid)
        if history is None or history.is_stale(self.clock(), self.period):
            return None
        return SERVED[metric](history)
