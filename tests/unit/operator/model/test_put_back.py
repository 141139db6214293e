"""Which fields of others are put back, and which stay."""

from collections.abc import Callable
from copy import deepcopy

import pytest

from chatfleet_operator.model.put_back import fields_to_remove
from chatfleet_operator.model.values import Manifest, ObjectId
from harness.kube.operated_cluster import resource, settled

CHILDREN = settled(resource())
DEPLOYMENT = CHILDREN[ObjectId("Deployment", "support")]
SERVICE = CHILDREN[ObjectId("Service", "support")]
REDIS = CHILDREN[ObjectId("StatefulSet", "support-redis")]
POD = "/spec/template/spec"


def edited(child: Manifest, change: Callable[[Manifest], object]) -> Manifest:
    live = deepcopy(child)
    change(live["spec"]["template"]["spec"] if "template" in live["spec"] else live["spec"])
    return live


@pytest.mark.parametrize(
    ("child", "change", "removed"),
    [
        pytest.param(DEPLOYMENT, lambda pod: pod.update(hostNetwork=True), [f"{POD}/hostNetwork"], id="hostNetwork"),
        pytest.param(DEPLOYMENT, lambda pod: pod.update(nodeName="a"), [f"{POD}/nodeName"], id="nodeName"),
        pytest.param(
            DEPLOYMENT,
            lambda pod: pod["containers"][0].update(command=["sleep"], args=["9"]),
            [f"{POD}/containers/0/command", f"{POD}/containers/0/args"],
            id="the command of our container",
        ),
        pytest.param(
            DEPLOYMENT,
            lambda pod: pod["containers"].insert(0, {"name": "mesh", "command": ["proxy"]}),
            [],
            id="the command of a sidecar stays",
        ),
        pytest.param(
            DEPLOYMENT,
            lambda pod: pod["containers"].insert(0, {"name": "mesh"}) or pod["containers"][1].update(args=["a"]),
            [f"{POD}/containers/1/args"],
            id="our container behind a sidecar",
        ),
        pytest.param(REDIS, lambda pod: pod["containers"][0].update(command=["sh"]), [], id="a command that we set"),
        pytest.param(
            REDIS,
            lambda pod: pod["containers"][0]["securityContext"].update(privileged=True),
            [f"{POD}/containers/0/securityContext/privileged"],
            id="a privileged container",
        ),
        pytest.param(
            REDIS,
            lambda pod: pod["containers"][0]["securityContext"]["capabilities"].update(add=["NET_RAW"]),
            [f"{POD}/containers/0/securityContext/capabilities/add"],
            id="an added capability",
        ),
        pytest.param(
            DEPLOYMENT,
            lambda pod: (
                pod.update(initContainers=[{"name": "a"}], hostNetwork=False, volumes=[*pod["volumes"], {}])
                or pod["containers"][0]["env"].append({"name": "A", "value": "b"})
            ),
            [],
            id="what a mesh injects stays",
        ),
        pytest.param(
            SERVICE,
            lambda spec: spec["ports"].extend([{"port": 9}, {"port": 80, "protocol": "UDP"}]),
            ["/spec/ports/2", "/spec/ports/1"],
            id="further ports, the last one first",
        ),
        pytest.param(SERVICE, lambda spec: spec["ports"][0].update(nodePort=30000), [], id="a node port stays"),
        pytest.param(
            SERVICE,
            lambda spec: spec.update(publishNotReadyAddresses=True, externalIPs=["192.0.2.7"]),
            ["/spec/publishNotReadyAddresses"],
            id="traffic to pods that are not ready",
        ),
    ],
)
def test_only_what_nobody_injects_is_put_back(
    child: Manifest, change: Callable[[Manifest], object], removed: list[str]
) -> None:
    assert list(fields_to_remove(edited(child, change), child)) == removed


@pytest.mark.parametrize("key", CHILDREN, ids=str)
def test_at_rest_nothing_is_put_back(key: ObjectId) -> None:
    assert fields_to_remove(CHILDREN[key], CHILDREN[key]) == ()
