"""What others do to children. It is repaired at once, so no condition has it."""

from typing import Final

from chatfleet_contract import names
from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import MANAGED, Drift, Fault
from chatfleet_lab.faults.steps import CHATDEPLOYMENT, annotate, delete, merge, patch, steps

CONTAINER: Final = "/spec/template/spec/containers/0"
DEPLOYMENT, SERVICE, CONFIG = "deployment/support", "service/support", "configmap/support-runtime"
SECRET, REDIS = "secret/support-redis", "statefulset/support-redis"

KEYS: Final = {names.REDIS_SECRET_PASSWORD, names.REDIS_SECRET_URL}
EDITED: Final = "eA=="


def added(path: str, value: object) -> dict[str, object]:
    return {"op": "add", "path": path, "value": value}


ROWS: Final = (
    Drift("replicas of the Deployment", DEPLOYMENT, merge(DEPLOYMENT, {"spec": {"replicas": 3}})),
    Drift("image of the container", DEPLOYMENT, patch(DEPLOYMENT, added(f"{CONTAINER}/image", "theirs"))),
    Drift("command of the container", DEPLOYMENT, patch(DEPLOYMENT, added(f"{CONTAINER}/command", ["sleep", "1d"]))),
    Drift(
        "hostNetwork of the pods",
        DEPLOYMENT,
        merge(DEPLOYMENT, {"spec": {"template": {"spec": {"hostNetwork": True}}}}),
    ),
    Drift("deleted Deployment", DEPLOYMENT, delete(DEPLOYMENT)),
    Drift("key in the selector of the Service", SERVICE, merge(SERVICE, {"spec": {"selector": {"none": "such"}}})),
    Drift("further port of the Service", SERVICE, patch(SERVICE, added("/spec/ports/-", {"name": "ssh", "port": 22}))),
    Drift("target port of the Service", SERVICE, patch(SERVICE, added("/spec/ports/0/targetPort", 9))),
    Drift("deleted Service", SERVICE, delete(SERVICE)),
    Drift("content of the ConfigMap", CONFIG, merge(CONFIG, {"data": {names.CONFIG_KEY: "{}"}})),
    Drift("deleted ConfigMap", CONFIG, delete(CONFIG)),
    Drift(
        "labels of the ConfigMap",
        CONFIG,
        merge(CONFIG, {"metadata": {"labels": {names.LABEL_DEPLOYMENT: None, names.LABEL_MANAGED_BY: None}}}),
    ),
    Drift("owner of the Service", SERVICE, merge(SERVICE, {"metadata": {"ownerReferences": None}})),
    Drift(
        "disruptions that the PodDisruptionBudget allows",
        "poddisruptionbudget/support",
        merge("poddisruptionbudget/support", {"spec": {"maxUnavailable": 9}}),
    ),
    Drift(
        "token of the ServiceAccount",
        "serviceaccount/support",
        merge("serviceaccount/support", {"automountServiceAccountToken": True}),
    ),
    Drift(
        "bounds of the autoscaler",
        "horizontalpodautoscaler/support",
        merge("horizontalpodautoscaler/support", {"spec": {"maxReplicas": 99}}),
        spec={"autoscaling": {"minReplicas": 1, "maxReplicas": 4}},
    ),
    Drift("replicas of the managed Redis", REDIS, merge(REDIS, {"spec": {"replicas": 3}}), spec=MANAGED),
    Drift("deleted StatefulSet of the managed Redis", REDIS, delete(REDIS), spec=MANAGED),
    Drift(
        "deleted Secret of the managed Redis", SECRET, delete(SECRET), lambda live: live["data"].keys() == KEYS, MANAGED
    ),
    Drift(
        "edited password of the managed Redis",
        SECRET,
        merge(SECRET, {"data": {"password": EDITED}}),
        lambda live: live["data"]["password"] != EDITED,
        MANAGED,
    ),
    Fault(
        "drift while the resource is paused",
        steps(
            annotate(CHATDEPLOYMENT, **{names.ANNOTATION_RECONCILE: names.RECONCILE_PAUSED}),
            merge(DEPLOYMENT, {"spec": {"replicas": 3}}),
        ),
        annotate(CHATDEPLOYMENT, **{names.ANNOTATION_RECONCILE: None}),
        ConditionType.PROGRESSING,
        Reason.PAUSED,
        ("Writes are paused since 20", "Deployment support differs", "remove the annotation"),
    ),
)
