"""The pods that can be asked, and what each said last: written by the watch and the scrapes, read by the API."""

from collections.abc import Callable, Iterator, Mapping

from chatfleet_metrics.figures.pods import Target, target
from chatfleet_metrics.figures.samples import SERVED, History, Reading, Scrape
from chatfleet_operator.model.values import Manifest


class Fleet:
    """All pods. Time is that of `clock`; a scrape comes every `period` seconds."""

    def __init__(self, period: float, clock: Callable[[], float]) -> None:
        self.period = period
        self.clock = clock
        self._pods: dict[str, dict[str, Target]] = {}
        self._histories: dict[str, History] = {}

    def __iter__(self) -> Iterator[Target]:
        """Go over a copy, as a round of scrapes takes its time and the watch goes on meanwhile."""
        return iter([pod for pods in self._pods.values() for pod in pods.values()])

    def of(self, namespace: str) -> Mapping[str, Target]:
        """Return those of a namespace by name."""
        return self._pods.get(namespace, {})

    def replace(self, found: list[Manifest]) -> None:
        """Know these pods and no others."""
        self._pods = {}
        for pod in found:
            self.see(pod)
        there = {pod.uid for pod in self}
        self._histories = {uid: history for uid, history in self._histories.items() if uid in there}

    def see(self, pod: Manifest, *, gone: bool = False) -> None:
        """Take over what `pod` is now."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        now = None if gone else target(pod)
        before = self._pods.get(namespace, {}).pop(name, None)
        if before and (now is None or now.uid != before.uid):
            self._histories.pop(before.uid, None)
        if now:
            self._pods.setdefault(namespace, {})[name] = now

    def add(self, pod: Target, values: Mapping[str, float]) -> None:
        """Keep what `pod` has just said, if it still is one of ours."""
        scrape, known = Scrape(self.clock(), values), self._histories.get(pod.uid)
        there = self.of(pod.namespace).get(pod.name)
        if there and there.uid == pod.uid:  # and no successor of the same name
            self._histories[pod.uid] = known.then(scrape) if known else History(scrape)

    def reading(self, uid: str, metric: str) -> Reading | None:
        """Return what `metric` of a pod is; None: nobody knows."""
        history = self._histories.get(uid)
        if history is None or history.is_stale(self.clock(), self.period):
            return None
        return SERVED[metric](history)
