"""The identity of the API pods. They do not call the API server and get no token for it."""

from chatfleet_contract import names
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.kinds import SERVICE_ACCOUNT
from chatfleet_operator.children.labels import new_child
from chatfleet_operator.model.values import Manifest


def build(context: BuildContext) -> tuple[Manifest, ...]:
    manifest = new_child(context.owner, SERVICE_ACCOUNT, context.ref.name, names.COMPONENT_API)
    manifest["automountServiceAccountToken"] = False
    if annotations := context.spec.service_account.annotations:
        manifest["metadata"]["annotations"] = dict(annotations)
    return (manifest,)
