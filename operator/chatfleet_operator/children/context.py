"""What every builder of children gets."""

from dataclasses import dataclass

from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children.labels import Owner
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.values import LiveState, Ref


@dataclass(frozen=True, slots=True)
class BuildContext:
    owner: Owner
    spec: ChatDeploymentSpec
    defaults: Defaults
    live: LiveState
    runtime: RuntimeConfig
    """What the pods should serve, from `spec`."""

    @property
    def ref(self) -> Ref:
        return self.owner.ref
