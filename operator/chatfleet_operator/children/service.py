"""The Service in front of the API pods. The health port is not on it."""

from chatfleet_contract import names
from chatfleet_operator.children.activator import may_scale_to_zero
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import SERVICE
from chatfleet_operator.children.labels import new_child, selector, traffic
from chatfleet_operator.model.values import Manifest


def build(context: BuildContext) -> tuple[Manifest, ...]:
    """Return the Service. Where there may be no API pod, it selects the activator as well, which is ready only then."""
    name, exposure = context.ref.name, context.spec.exposure.service
    manifest = new_child(context.owner, SERVICE, name, names.COMPONENT_API)
    if exposure.annotations:
        manifest["metadata"]["annotations"] = dict(exposure.annotations)
    manifest["spec"] = {
        "type": exposure.type.value,
        "selector": traffic(name) if may_scale_to_zero(context.spec) else selector(name, names.COMPONENT_API),
        "ports": [
            {
                "name": names.PORT_NAME_SERVING,
                "port": exposure.port,
                "protocol": "TCP",
                "targetPort": names.PORT_NAME_SERVING,
            }
        ],
    }
    return (manifest,)
