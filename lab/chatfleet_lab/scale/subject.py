"""One ChatDeployment of the simulation: its load, its pods that start and tell their figures, and what was seen."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Final

from chatfleet_contract import metrics
from chatfleet_lab.scale.crowd import Crowd
from chatfleet_lab.scale.series import Sample
from chatfleet_operator.model.values import Manifest
from harness.clients.load import Profile
from harness.kube.figures import Figures, exporting

CAP: Final = 100
START_SECONDS: Final = 15
"""From the making of a pod to its being Ready: a slow scheduler, or a fast pull of the image."""
STREAM_SECONDS: Final = 30


@dataclass
class Subject:
    """A ChatDeployment under a load. Times are seconds since the beginning, as if none were compressed."""

    name: str
    profile: Profile
    seconds: int
    alive: ExitStack
    """Ends the pods' servers."""
    autoscaling: Manifest
    pods: int = 2
    """At the beginning."""
    cap: int = CAP
    start_seconds: float = START_SECONDS
    stream_seconds: float = STREAM_SECONDS
    silence: tuple[float, float] = (0, 0)
    """From when to when no pod tells its figures."""
    seed: int = 7
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        chance = Random(self.seed)  # noqa: S311  # the same each time
        self._crowd = Crowd(self.profile, cap=self.cap, stream_seconds=self.stream_seconds, chance=chance)
        self._seen: dict[str, float] = {}
        self._serving: dict[str, Figures] = {}
        self._free: list[Figures] = []

    def step(self, now: float, pods: Collection[str], desired: int) -> Iterator[tuple[str, Figures]]:
        """Go on to `now`: pods, streams, figures, one sample; yields the pods that have just started."""
        for gone in self._serving.keys() - {*pods}:
            self._free.append(self._serving.pop(gone))
        for pod in pods:
            if now - self._seen.setdefault(pod, now) >= self.start_seconds and pod not in self._serving:
                self._serving[pod] = self._free.pop() if self._free else self.alive.enter_context(exporting())
                self._serving[pod].samples = {metrics.ACTIVE_STREAMS: 0}
                yield pod, self._serving[pod]
        crowd = self._crowd
        crowd.step(now, self._serving)
        begin, end = self.silence
        for pod, figures in self._serving.items():
            figures.silent = begin <= now < end
            figures.samples = {metrics.ACTIVE_STREAMS: crowd.on[pod]}
        seen = desired, len(pods), len(self._serving)
        self.samples.append(Sample(now, crowd.live, crowd.wanted, *seen, refused=crowd.refused))
