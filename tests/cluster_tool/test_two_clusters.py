"""Two clusters side by side: what each can do, that neither meets the other, and that they go without a trace.

The tests stand in the order of a cluster's life, and each goes on where the one before it ended.
"""

import http.server
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

import pytest

from chatfleet_cluster.layout import interface_of
from harness.kube.local_clusters import ENVIRONMENT, Handle, handle, machine_state
from harness.polling import eventually

pytestmark = pytest.mark.timeout(180)
MANIFESTS = (Path(__file__).parent / "probe" / "manifests.yaml").read_text()
Pair = tuple[Handle, Handle]


@pytest.fixture(scope="module", name="before")
def _before() -> dict[str, object]:
    return machine_state()


@pytest.fixture(scope="module", name="pair")
def _pair(before: dict[str, object]) -> Iterator[Pair]:
    assert before
    pair = handle("a"), handle("b")
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda cluster: cluster.do("up"), (*pair, pair[0])))  # one of them twice at once
        yield pair
    finally:
        for cluster in pair:
            cluster.do("down")


@pytest.fixture(scope="module", name="probe")
def _probe(pair: Pair, image: str) -> str:
    """The address of the probe's Service in the first cluster, where its image was loaded and its pod is ready."""
    first, _ = pair
    first.do("load", image)
    kubectl = first.kubectl()
    kubectl("apply", "-f", "-", stdin=MANIFESTS.replace("IMAGE", image))
    kubectl("rollout", "status", "deployment/probe", "--timeout=60s")
    url = "http://" + kubectl("get", "service", "probe", "--output=jsonpath={.spec.clusterIP}")
    eventually(lambda: answers(url))  # kube-proxy learns of a ready pod a moment after the Deployment does
    return url


def answers(url: str) -> bool:
    try:
        return bool(get(url))
    except urllib.error.URLError:
        return False


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - an address of the test's own
        content: bytes = response.read()
    return content.decode()


def through(probe: str, url: str) -> str:
    """What a pod gets from `url`, or why it gets nothing."""
    try:
        return get(f"{probe}/?url={quote(url)}")
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"


def test_both_come_up_at_once_and_share_no_address(pair: Pair) -> None:
    first, second = (cluster.status() for cluster in pair)

    assert first["ready"]
    assert second["ready"]
    for part in ("link", "pods", "services"):
        assert not ip_network(first[part]).overlaps(ip_network(second[part]))


def test_a_second_up_changes_nothing(pair: Pair) -> None:
    pids = pair[0].pids()

    pair[0].do("up")

    assert pids == pair[0].pids()


def test_up_starts_what_died_and_nothing_else_and_keeps_the_data(pair: Pair) -> None:
    cluster = pair[0]
    cluster.kubectl()("create", "namespace", "kept")
    before = cluster.pids()
    for victim in ("etcd", "kube-apiserver"):
        os.kill(before[victim] or 0, signal.SIGKILL)
    eventually(lambda: not cluster.status()["ready"])

    cluster.do("up")

    after = cluster.pids()
    changed = {name for name in after if after[name] != before[name]}
    assert (
        {"etcd", "kube-apiserver"} <= changed <= {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
    )
    assert "kept" in cluster.kubectl()("get", "namespace", "kept")


def test_a_pod_is_reached_through_its_service_from_this_machine(probe: str) -> None:
    assert get(probe) == "alive"


def test_a_pod_reaches_a_service_by_name_and_itself_behind_it(probe: str) -> None:
    assert through(probe, "http://probe.default.svc.cluster.local/") == "alive"


def test_a_pod_reaches_a_server_on_this_machine(pair: Pair, probe: str) -> None:
    host = pair[0].status()["host_address"]
    with http.server.HTTPServer((host, 0), http.server.BaseHTTPRequestHandler) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        answer = through(probe, f"http://{host}:{server.server_port}/")
        answering.join()

    assert "Unsupported method" in answer  # the plainest server there is, and it answered


@pytest.mark.parametrize("url", ["http://203.0.113.1/", "http://example.org/"])
def test_a_pod_reaches_nothing_beyond_this_machine(probe: str, url: str) -> None:
    answer = through(probe, url)

    assert answer.startswith("502 ")
    assert "network is unreachable" in answer or "lookup example.org" in answer


def test_a_pod_does_not_reach_the_other_cluster(pair: Pair, probe: str) -> None:
    assert "unreachable" in through(probe, f"http://{pair[1].status()['node_address']}:10256/healthz")


def test_a_volume_is_writable_for_a_user_without_rights_and_outlives_the_pod(pair: Pair, probe: str) -> None:
    kubectl = pair[0].kubectl()
    assert get(f"{probe}/keep?word=one") == "one"

    kubectl("delete", "pod", "--selector=app=probe", "--wait")
    kubectl("rollout", "status", "deployment/probe", "--timeout=60s")

    eventually(lambda: answers(probe))
    assert get(f"{probe}/keep?word=two") == "onetwo"


def test_what_is_mounted_for_a_pod_is_in_the_nodes_list_once(pair: Pair, probe: str) -> None:
    """The kubelet and the runtime read the list several times for each start of a pod."""
    assert probe
    rows = pair[0].do("exec", "--", "cat", "/proc/self/mountinfo").splitlines()
    volumes = [row.split()[4].partition("/kubelet/pods/")[2] for row in rows if "/kubelet/pods/" in row]
    assert volumes
    assert sorted(volumes) == sorted(set(volumes))


def test_logs_and_ports_of_a_pod_are_reached_through_the_api_server(pair: Pair, probe: str) -> None:
    assert probe
    assert "serving" in pair[0].kubectl()("logs", "--selector=app=probe")


def test_an_image_is_loaded_once(pair: Pair, probe: str, image: str) -> None:
    assert probe
    assert f"{image} is already loaded" in pair[0].do("load", image)


def test_a_further_name_of_a_loaded_image_is_only_a_tag(pair: Pair, probe: str, image: str) -> None:
    assert probe
    kubectl, further = pair[0].kubectl(), f"{image}-further"
    subprocess.run(["buildah", "tag", image, further], check=True)
    try:
        assert f"{further} is already loaded as {image}" in pair[0].do("load", further)
        assert f"{further} is already loaded\n" in pair[0].do("load", further)
    finally:
        subprocess.run(["buildah", "rmi", further], check=True, stdout=subprocess.DEVNULL)

    kubectl("run", "further", f"--image={further}", "--image-pull-policy=Never")
    kubectl("wait", "pod/further", "--for=condition=Ready", "--timeout=60s")
    kubectl("delete", "pod", "further", "--now")


def test_an_unknown_image_is_refused_by_name(pair: Pair) -> None:
    refused = pair[0].run("load", "chatfleet.local/nobody:dev")

    assert refused.returncode == 1
    assert "buildah has no image 'chatfleet.local/nobody:dev'" in refused.stderr


def test_a_command_runs_inside_the_node(pair: Pair) -> None:
    assert pair[0].status()["node_address"] in pair[0].do("exec", "--", "ip", "-4", "-brief", "address")


def test_the_log_of_a_component_is_shown(pair: Pair) -> None:
    assert "coredns" in pair[0].do("logs").split()
    assert "CoreDNS" in pair[0].do("logs", "coredns")


def test_a_range_in_use_is_refused_and_nothing_is_left(pair: Pair) -> None:
    used, third = pair[0].status(), handle("c")

    refused = third.run("up", *(f"--{part}={used[part]}" for part in ("link", "pods", "services")))

    assert refused.returncode == 1
    assert f"{used['link']} overlaps {used['link']} on interface {interface_of(pair[0].name)}" in refused.stderr
    assert third.traces() == []


def test_an_interface_of_somebody_else_is_not_touched(pair: Pair) -> None:
    assert pair
    third = handle("d")
    interface = interface_of(third.name)
    subprocess.run(["ip", "link", "add", interface, "type", "veth", "peer", "name", f"{interface}-"[-15:]], check=True)
    try:
        refused = third.run("up")
        third.do("down")

        assert refused.returncode == 1
        assert f"Interface {interface} exists and does not belong to this tool." in refused.stderr
        assert third.traces() == [interface]
    finally:
        subprocess.run(["ip", "link", "delete", interface], check=True)


def test_down_leaves_no_trace_and_the_other_cluster_alone(pair: Pair, before: dict[str, object]) -> None:
    first, second = pair
    with subprocess.Popen(first.command("exec", "--", "sleep", "1000"), env=ENVIRONMENT) as inside:
        eventually(lambda: any("sleep 1000" in trace for trace in first.traces()))

        first.do("down")

        assert inside.wait(10) == -signal.SIGKILL
    assert first.traces() == []
    assert second.status()["ready"]
    assert machine_state() == before


def test_a_second_down_finds_nothing_to_do(pair: Pair) -> None:
    assert "does not exist" in pair[0].do("down")
