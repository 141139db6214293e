"""From a ChatDeployment to the objects that should exist: pure builders, fresh objects, stable names.

A builder never returns or keeps a caller's mutable, and a selector holds nothing but our own two labels.
"""

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children import access, config, deployment, redis
from chatfleet_operator.children.activator import may_scale_to_zero, waiting_room
from chatfleet_operator.children.autoscaler import autoscalers
from chatfleet_operator.children.labels import Owner, with_hash
from chatfleet_operator.children.revision import effective_templates, revision
from chatfleet_operator.model.values import Defaults, Desired, LiveState, ObjectId, Resource

KINDS_OF_DEPLOYMENT = ("ServiceAccount", "Service", "PodDisruptionBudget", "Deployment")
KINDS_OF_AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
KINDS_OF_WAITING_ROOM = ("Service", "Deployment")
KINDS_OF_REDIS = ("Secret", "PersistentVolumeClaim", "Service", "StatefulSet")


def possible_children(deployment_name: str) -> tuple[ObjectId, ...]:
    """Return every object that could be ours, whatever the spec says now."""
    return (
        ObjectId("ConfigMap", names.config_name(deployment_name)),
        *(ObjectId(kind, deployment_name) for kind in (*KINDS_OF_DEPLOYMENT, *KINDS_OF_AUTOSCALERS)),
        ObjectId("Service", names.pods_name(deployment_name)),
        *(ObjectId(kind, names.activator_name(deployment_name)) for kind in KINDS_OF_WAITING_ROOM),
        *(ObjectId(kind, names.redis_name(deployment_name)) for kind in KINDS_OF_REDIS),
    )


def build(resource: Resource, spec: ChatDeploymentSpec, defaults: Defaults, *, found: LiveState) -> Desired:
    """Return all that should exist for `spec`, in the order in which it is applied: what others need comes first."""
    owner = Owner(resource.ref, resource.uid)
    runtime = config.runtime_config(resource.ref, spec)
    managed = spec.redis.managed
    newest = (
        access.service_account(owner),
        config.config_map(owner, runtime),
        *(redis.children(owner, managed, defaults.redis_image, found.secret_uid) if managed else ()),
        access.service(owner, spec.exposure.service, may_scale_to_zero=may_scale_to_zero(spec)),
        access.disruption_budget(owner),
        deployment.deployment(owner, spec, defaults.api_image, deployed=found.deployed),
        *waiting_room(owner, spec, defaults.api_image),
        *autoscalers(owner, spec, foreign_metrics=found.foreign_metrics),
    )
    newest_revision = revision(newest)
    opted_in = resource.template_revision in {newest_revision, names.REVISION_LATEST}
    children = effective_templates(newest, {} if opted_in else found.workloads)
    return Desired(tuple(with_hash(child) for child in children), runtime, revision(children), newest_revision)
