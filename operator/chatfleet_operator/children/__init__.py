"""From a ChatDeployment to the objects that should exist: pure builders, fresh objects, stable names.

kinds               THE table: every kind, its path, rights, names and treatment
service_account     the identity of the pods                       config       the ConfigMap with runtime.json
redis               StatefulSet, Service, Secret and volume of a managed Redis
service             in front of the pods                           disruption_budget
deployment          of the API pods
activator           holds requests while there is no API pod: Deployment, two Services
autoscaler          HorizontalPodAutoscaler                        scaled_object    of KEDA
scaling_targets     what a pod should carry, for both of them
context             what a builder gets                            labels       metadata of a child
inherited           labels and annotations of all children
pod                 what all pods have in common                   revision     which pod templates are in effect
documents           what pods mount for knowledge
volume              the claim of a managed Redis beside the spec
prerequisites       what the pods of a workload use
restrictions        what the operator's settings do not allow

A new child: docs/development/add-a-child.md. A row (or a name) in `kinds`, a module here with `build`, a line in
`BUILDERS`; the chart's RBAC and the golden files are generated.
A builder never returns or keeps a caller's mutable, and a selector has nothing but our own two labels.
"""

from collections.abc import Callable
from typing import Final

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children import (
    activator,
    autoscaler,
    config,
    deployment,
    disruption_budget,
    redis,
    scaled_object,
    service,
    service_account,
)
from chatfleet_operator.children.context import BuildContext
from chatfleet_operator.children.inherited import inherit
from chatfleet_operator.children.kinds import CHILD_KINDS
from chatfleet_operator.children.labels import Owner, with_hash
from chatfleet_operator.children.restrictions import without_refused_fields, without_secrets
from chatfleet_operator.children.revision import effective_templates, revision
from chatfleet_operator.model.defaults import Defaults
from chatfleet_operator.model.values import Desired, LiveState, Manifest, ObjectId, Resource

BUILDERS: Final[tuple[Callable[[BuildContext], tuple[Manifest, ...]], ...]] = (
    service_account.build,
    config.build,
    redis.build,
    service.build,
    disruption_budget.build,
    deployment.build,
    activator.build,
    autoscaler.build,
    scaled_object.build,
)
"""In the order in which children are applied: what others refer to comes before them, autoscalers come last."""


def possible_children(deployment_name: str) -> tuple[ObjectId, ...]:
    """Return every object that could be ours, whatever the spec is now."""
    return tuple(
        ObjectId(kind.name, child_name(deployment_name)) for kind in CHILD_KINDS for child_name in kind.child_names
    )


def build(resource: Resource, spec: ChatDeploymentSpec, defaults: Defaults, *, live: LiveState) -> Desired:
    """Return all that should exist for `spec`, in the order in which it is applied."""
    if defaults.restrictions.restrict_template:
        spec = without_refused_fields(spec)
    owner = Owner(resource.ref, resource.uid)
    context = BuildContext(
        owner, spec, defaults, live, runtime := config.runtime_config(owner, spec, live.token_issuer, live.instructions)
    )
    built = (child for builder in BUILDERS for child in builder(context))
    allowed = (without_secrets(child, live.refused_secrets) for child in built)
    newest = tuple(inherit(child, spec.inherited_metadata) for child in allowed)
    newest_revision = revision(newest)
    opted_in = resource.template_revision in {newest_revision, names.REVISION_LATEST}
    children = effective_templates(newest, {} if opted_in else live.workloads)
    return Desired(tuple(with_hash(child) for child in children), runtime, revision(children), newest_revision)
