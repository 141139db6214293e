"""Which ChatDeployments need the metrics API server: those whose HorizontalPodAutoscaler reads metrics of pods."""

from collections.abc import Callable, Sequence
from typing import Final

from pydantic import ValidationError

from chatfleet_contract import names
from chatfleet_contract.spec.autoscaling import Autoscaling
from chatfleet_operator.kube import Watched
from chatfleet_operator.model.values import Manifest, Ref


def needs_metrics(chatdeployment: Manifest) -> bool:
    """Whether its autoscaler reads metrics of pods. One that cannot be read may, so its metrics stay."""
    spec = chatdeployment.get("spec") or {}
    scaled = spec.get("autoscaling")
    if not scaled or spec.get("suspend") or "deletionTimestamp" in chatdeployment["metadata"]:
        return False
    try:
        return Autoscaling.model_validate(scaled).needs_metrics_api_server
    except ValidationError:
        return True


def trim(chatdeployment: Manifest) -> Manifest:
    """Return the fields that `needs_metrics` reads, and the name."""
    metadata, spec = chatdeployment["metadata"], chatdeployment.get("spec") or {}
    return {
        "metadata": {key: metadata[key] for key in ("namespace", "name", "deletionTimestamp") if key in metadata},
        "spec": {key: spec[key] for key in ("autoscaling", "suspend") if key in spec},
    }


CHATDEPLOYMENTS: Final = Watched(names.KIND, "", trim)


class Demand:
    """The ChatDeployments that need metrics, written by a reflector. Times are those of `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refs = set[Ref]()
        self._ended = clock()
        self.is_known = False
        """Whether the ChatDeployments have been listed."""

    @property
    def is_present(self) -> bool:
        return bool(self._refs)

    @property
    def seconds_absent(self) -> float:
        """Seconds since the last one went; without any, since the start."""
        return 0.0 if self._refs else self._clock() - self._ended

    def replace(self, objects: Sequence[Manifest]) -> None:
        """Hold these ChatDeployments and no others."""
        self._set({_ref(live) for live in objects if needs_metrics(live)})
        self.is_known = True

    def update(self, live: Manifest) -> None:
        """Hold a ChatDeployment as it is now; it may be new."""
        self._set(self._refs | {_ref(live)} if needs_metrics(live) else self._refs - {_ref(live)})

    def delete(self, live: Manifest) -> None:
        """Hold a ChatDeployment no longer."""
        self._set(self._refs - {_ref(live)})

    def _set(self, refs: set[Ref]) -> None:
        if self._refs and not refs:
            self._ended = self._clock()
        self._refs = refs


def _ref(live: Manifest) -> Ref:
    return Ref(live["metadata"]["namespace"], live["metadata"]["name"])
