"""What the chart makes, and that it gives the operator exactly the rights and the settings that its code knows."""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from chatfleet_contract import names
from chatfleet_contract.crd import definition
from chatfleet_metrics import settings as metrics_apiserver
from chatfleet_operator.kube.rbac import (
    CLUSTER_RULES,
    LEASE_RULES,
    METRICS_ON_DEMAND_RULES,
    METRICS_RULES,
    METRICS_SCALE_RULES,
    METRICS_SECRET_RULES,
    RULES,
    Rule,
)
from chatfleet_operator.process.settings import Settings, read, read_settings
from harness.kube.helm import CHART, NAMESPACE, Helm, HelmError, Manifest
from harness.promtool import ALERT_RULES, DASHBOARDS

pytestmark = pytest.mark.timeout(900)  # the first test of all may have to build helm

AUTOSCALER = ("horizontal-pod-autoscaler", "kube-system")
BUILT_IN = "extension-apiserver-authentication-reader"
"""A role that is in every cluster."""
TWO = 'watchNamespaces=["shop", "desk"]'
OTHER_VALUES = {
    "operator.image": '"example.com/operator:1"',
    "operator.imagePullPolicy": '"Always"',
    "operator.imagePullSecrets": '["registry"]',
    "operator.replicas": "3",
    "operator.logLevel": '"debug"',
    "operator.logFormat": '"text"',
    "operator.workers": "4",
    "operator.resyncSeconds": "2.5",
    "operator.secretsNeedLabel": "true",
    "operator.restrictTemplate": "true",
    "operator.resources.requests.cpu": '"1"',
    "operator.resources.requests.memory": '"1Gi"',
    "operator.resources.limits.memory": '"2Gi"',
    "operator.podLabels": '{"team": "chat"}',
    "operator.podAnnotations": '{"example.com/team": "chat"}',
    "operator.nodeSelector": '{"disk": "fast"}',
    "operator.tolerations": '[{"key": "control", "operator": "Exists"}]',
    "operator.affinity": '{"nodeAffinity": {}}',
    "operator.priorityClassName": '"high"',
    "api.image": '"example.com/api:1"',
    "redis.image": '"example.com/redis:1"',
    "watchNamespaces": '["shop"]',
    "denyNamespaces": '["shop"]',
    "crds.install": "false",
    "metricsAPIServer.enabled": "false",
    "metricsAPIServer.replicas": "3",
    "metricsAPIServer.periodSeconds": "15",
    "metricsAPIServer.resources.requests.cpu": '"1"',
    "metricsAPIServer.resources.requests.memory": '"1Gi"',
    "metricsAPIServer.resources.limits.memory": '"2Gi"',
    "monitoring.rules": "true",
    "monitoring.monitors": "true",
    "monitoring.scrapeSeconds": "30",
    "monitoring.labels": '{"release": "prometheus"}',
    "monitoring.runbooks": '"https://example.com/runbooks/"',
    "monitoring.dashboards": "true",
    "monitoring.dashboardLabels.grafana_dashboard": '"2"',
    "aggregateRoles": "false",
}
"""For each value another than its default."""
MONITORING = ("monitoring.rules=true", "monitoring.monitors=true", "monitoring.dashboards=true")
"""Without them other values of monitoring have nothing to change."""


def of_kind(manifests: Iterable[Manifest], kind: str, name: str = "chatfleet") -> list[Manifest]:
    return [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]


def rights(role: Manifest) -> set[tuple[str, str, str, str]]:
    """Return a role as single rights: group, resource, verb, and the name of the one object (empty: any)."""
    return {
        (group, resource, verb, name)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or [""]
    }


def needed(rules: Iterable[Rule]) -> set[tuple[str, str, str, str]]:
    return {
        (rule.group, rule.resource, verb, name) for rule in rules for verb in rule.verbs for name in rule.names or [""]
    }


def environment(manifests: Iterable[Manifest], name: str = "chatfleet") -> dict[str, str]:
    """Return the environment of a Deployment's pod as it is rendered."""
    (deployment,) = of_kind(manifests, "Deployment", name)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    downward = {"metadata.namespace": NAMESPACE, "metadata.name": "chatfleet-0"}
    return {
        each["name"]: each["value"] if "value" in each else downward[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container["env"]
    }


def settings(manifests: Iterable[Manifest]) -> Settings:
    """Return the settings that the operator reads from the rendered environment."""
    environ = environment(manifests)
    known = {f"CHATFLEET_OPERATOR_{name.upper()}" for name in Settings.model_fields}
    assert environ.keys() <= known
    return read_settings(environ)


def leaves(values: dict[str, Any], path: str = "") -> Iterable[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield path + name


@pytest.mark.feature(56)
def test_helm_finds_nothing_to_object_to(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_operator_may_do_what_its_code_does_and_no_more(helm: Helm) -> None:
    made = helm.render()
    (role,) = of_kind(made, "ClusterRole")
    assert rights(role) == needed((*RULES, *CLUSTER_RULES))
    (leader,) = of_kind(made, "Role", "chatfleet-leader")
    assert rights(leader) == needed(LEASE_RULES)
    assert leader["metadata"]["namespace"] == NAMESPACE


SECRETS = {(group, resource) for group in ("", "*") for resource in ("secrets", "*")}


def test_secrets_are_never_listed_nor_watched(helm: Helm) -> None:
    roles = [each for each in helm.render() if each["kind"] in {"ClusterRole", "Role"}]
    verbs = {verb for role in roles for group, resource, verb, _ in rights(role) if (group, resource) in SECRETS}
    assert not verbs & {"list", "watch", "*"}


def test_with_namespaces_it_has_no_right_outside_of_them(helm: Helm) -> None:
    made = helm.render(TWO)
    assert not [each for each in made if each["kind"] in {"ClusterRole", "ClusterRoleBinding"}]
    for kind in ("Role", "RoleBinding"):
        assert [each["metadata"]["namespace"] for each in of_kind(made, kind)] == ["shop", "desk"]
    assert all(rights(role) == needed(RULES) for role in of_kind(made, "Role"))


@pytest.mark.parametrize("values", [(), (TWO,)], ids=["cluster", "namespaces"])
def test_every_binding_gives_a_role_that_is_made_to_the_account_of_the_pod(helm: Helm, values: tuple[str, ...]) -> None:
    made = helm.render(*values, release="two")
    pods = [each["spec"]["template"]["spec"] for each in made if each["kind"] == "Deployment"]
    accounts = {
        (each["metadata"]["name"], each["metadata"]["namespace"]) for each in made if each["kind"] == "ServiceAccount"
    }
    assert {(pod["serviceAccountName"], NAMESPACE) for pod in pods} == accounts
    for binding in (each for each in made if each["kind"].endswith("RoleBinding")):
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) in {*accounts, AUTOSCALER}
        if binding["roleRef"]["name"] == BUILT_IN:
            continue
        (role,) = (
            each
            for each in of_kind(made, binding["roleRef"]["kind"], binding["roleRef"]["name"])
            if each["metadata"].get("namespace") == binding["metadata"].get("namespace")
        )
        assert role["rules"]


def test_the_operator_reads_its_settings_as_the_values_say(helm: Helm) -> None:
    plain = settings(helm.render())
    shown = {"namespace": NAMESPACE, "pod_name": "chatfleet-0", "metrics_apiserver": names.METRICS_APISERVER}
    images = {"api_image": plain.api_image, "redis_image": plain.redis_image}
    assert plain == Settings().model_copy(update=shown | images)
    assert settings(
        helm.render(
            *(TWO, 'operator={"workers": 4, "resyncSeconds": 2.5, "logLevel": "debug", "logFormat": "text"}'),
            *("operator.secretsNeedLabel=true", "operator.restrictTemplate=true"),
        )
    ) == plain.model_copy(
        update={"namespaces": ("shop", "desk"), "workers": 4, "resync_seconds": 2.5, "metrics_apiserver": ""}
        | {"log_level": "debug", "log_format": "text", "secrets_need_label": True, "restrict_template": True}
    )


def test_probes_and_metrics_are_where_the_operator_serves_them(helm: Helm) -> None:
    made = helm.render()
    (deployment,) = of_kind(made, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "health", "containerPort": Settings().health_port}]
    paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")]
    assert paths == ["/live", "/live", "/ready"]
    (service,) = of_kind(made, "Service", "chatfleet-metrics")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize(
    ("enabled", "cluster", "namespace"),
    [
        ('"auto"', (*METRICS_RULES, *METRICS_ON_DEMAND_RULES), (*METRICS_SECRET_RULES, *METRICS_SCALE_RULES)),
        ("true", METRICS_RULES, METRICS_SECRET_RULES),
    ],
)
def test_the_metrics_api_server_may_do_what_its_code_does_and_no_more(
    helm: Helm, enabled: str, cluster: Iterable[Rule], namespace: Iterable[Rule]
) -> None:
    made = helm.render(f"metricsAPIServer.enabled={enabled}")
    (role,) = of_kind(made, "ClusterRole", names.METRICS_APISERVER)
    assert rights(role) == needed(cluster)
    (own,) = of_kind(made, "Role", names.METRICS_APISERVER)
    assert rights(own) == needed(namespace)
    (reader,) = [
        each for each in of_kind(made, "RoleBinding", names.METRICS_APISERVER) if each["roleRef"]["name"] == BUILT_IN
    ]
    assert reader["metadata"]["namespace"] == "kube-system"
    (autoscaler,) = of_kind(made, "ClusterRoleBinding", f"{names.METRICS_APISERVER}-reader")
    assert [(each["name"], each["namespace"]) for each in autoscaler["subjects"]] == [AUTOSCALER]
    (read,) = of_kind(made, "ClusterRole", f"{names.METRICS_APISERVER}-reader")
    assert rights(read) == {(names.METRICS_GROUP, "*", "get", "")}


def test_the_metrics_api_server_reads_its_settings_as_the_values_say(helm: Helm) -> None:
    environ = environment(
        helm.render('metricsAPIServer={"periodSeconds": 15}', release="two"), "two-chatfleet-metrics-apiserver"
    )
    assert environ.keys() <= {
        metrics_apiserver.PREFIX + name.upper() for name in metrics_apiserver.Settings.model_fields
    }
    own = dict.fromkeys(("service", "secret", "owner", "deployment"), "two-chatfleet-metrics-apiserver")
    expected = metrics_apiserver.Settings(namespace=NAMESPACE, period_seconds=15).model_copy(update=own)
    assert read(metrics_apiserver.Settings, metrics_apiserver.PREFIX, environ) == expected


def test_on_demand_the_operator_and_the_server_set_its_pods_and_an_upgrade_does_not(helm: Helm) -> None:
    made = helm.render("metricsAPIServer.replicas=3")  # auto, by default
    (deployment,) = of_kind(made, "Deployment", names.METRICS_APISERVER)
    assert "replicas" not in deployment["spec"]
    operator = settings(made)
    assert (operator.metrics_apiserver, operator.metrics_apiserver_replicas) == (names.METRICS_APISERVER, 3)
    server = read(metrics_apiserver.Settings, metrics_apiserver.PREFIX, environment(made, names.METRICS_APISERVER))
    assert (server.deployment, server.replicas) == (names.METRICS_APISERVER, 3)


@pytest.mark.parametrize("value", ["true", "false"])
def test_unless_on_demand_the_operator_starts_no_metrics_api_server(helm: Helm, value: str) -> None:
    made = helm.render(f"metricsAPIServer.enabled={value}")
    assert settings(made).metrics_apiserver == ""
    deployed = of_kind(made, "Deployment", names.METRICS_APISERVER)
    assert [each["spec"]["replicas"] for each in deployed] == ([2] if value == "true" else [])


def test_of_two_operators_one_stays_when_nodes_are_drained(helm: Helm) -> None:
    made = helm.render()
    (deployment,) = of_kind(made, "Deployment")
    (budget,) = of_kind(made, "PodDisruptionBudget")
    assert (deployment["spec"]["replicas"], budget["spec"]["maxUnavailable"]) == (2, 1)
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


def test_the_metrics_api_server_serves_where_its_service_and_its_probes_ask(helm: Helm) -> None:
    made = helm.render()
    (deployment,) = of_kind(made, "Deployment", names.METRICS_APISERVER)
    (service,) = of_kind(made, "Service", names.METRICS_APISERVER)
    (budget,) = of_kind(made, "PodDisruptionBudget", names.METRICS_APISERVER)
    pod, defaults = deployment["spec"]["template"], metrics_apiserver.Settings()
    (container,) = pod["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"https": defaults.port, "health": defaults.health_port}
    assert service["spec"]["ports"] == [{"name": "https", "port": defaults.service_port, "targetPort": "https"}]
    for selector in (service["spec"]["selector"], budget["spec"]["selector"]["matchLabels"]):
        assert selector == deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= pod["metadata"]["labels"].items()
    (operator,) = of_kind(made, "Deployment")
    assert not operator["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("values", ["metricsAPIServer.enabled=false", TWO])
def test_without_the_metrics_api_server_nothing_of_it_is_made(helm: Helm, values: str) -> None:
    assert not [each for each in helm.render(values) if "metrics-apiserver" in each["metadata"]["name"]]


def test_the_longest_release_has_names_that_the_api_server_takes(helm: Helm) -> None:
    made = helm.render(release="r" * 53)
    assert max(len(each["metadata"]["name"]) for each in made if each["kind"] in {"Deployment", "Service"}) <= 63


def test_the_definition_comes_with_the_release_unless_told_otherwise(helm: Helm) -> None:
    (made,) = of_kind(helm.render(), "CustomResourceDefinition", "chatdeployments.chatfleet.io")
    assert made == definition()
    assert not [each for each in helm.render("crds.install=false") if each["kind"] == "CustomResourceDefinition"]


def test_whoever_may_edit_a_namespace_may_edit_its_chatdeployments(helm: Helm) -> None:
    made = helm.render()
    for role, to in (("view", {"view"}), ("edit", {"edit", "admin"})):
        (found,) = of_kind(made, "ClusterRole", f"chatfleet-{role}")
        labels = found["metadata"]["labels"]
        assert {name.rpartition("-")[2] for name in labels if "aggregate-to" in name} == to


def test_no_kind_of_an_optional_definition_is_made_unless_it_is_switched_on(helm: Helm) -> None:
    assert not [each for each in helm.render() if "monitoring.coreos.com" in each["apiVersion"]]


def test_the_rules_of_the_chart_are_those_that_are_tested_with_other_runbooks(helm: Helm) -> None:
    folder = "https://example.com/runbooks/"
    (made,) = of_kind(helm.render("monitoring.rules=true", f'monitoring.runbooks="{folder}"'), "PrometheusRule")
    tested = yaml.safe_load(ALERT_RULES.read_text())
    assert made["spec"].keys() == tested.keys()
    for group, expected in zip(made["spec"]["groups"], tested["groups"], strict=True):
        for rule in (each for each in expected["rules"] if "alert" in each):
            rule["annotations"]["runbook_url"] = f"{folder}{rule['alert']}.md"
        assert group == expected


@pytest.mark.parametrize("values", [(), (TWO,)], ids=["cluster", "namespaces"])
def test_monitors_scrape_the_port_of_the_metrics_and_set_the_labels_of_the_rules(
    helm: Helm, values: tuple[str, ...]
) -> None:
    made = helm.render("monitoring.monitors=true", *values)
    (pods,) = of_kind(made, "PodMonitor", "chatfleet-pods")
    (endpoint,) = pods["spec"]["podMetricsEndpoints"]
    label = names.LABEL_DEPLOYMENT.replace(".", "_").replace("/", "_")
    assert endpoint["port"] == names.PORT_NAME_HEALTH
    assert {"sourceLabels": [f"__meta_kubernetes_pod_label_{label}"], "targetLabel": "chatdeployment"} in endpoint[
        "relabelings"
    ]
    (chosen,) = pods["spec"]["selector"]["matchExpressions"]
    assert (chosen["key"], chosen["values"]) == (
        names.LABEL_COMPONENT,
        [names.COMPONENT_API, names.COMPONENT_ACTIVATOR],
    )
    assert pods["spec"]["namespaceSelector"] == ({"matchNames": ["shop", "desk"]} if values else {"any": True})
    (operator,) = of_kind(made, "ServiceMonitor")
    (service,) = of_kind(made, "Service", "chatfleet-metrics")
    assert operator["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (scraped,) = operator["spec"]["endpoints"]
    assert (scraped["port"], scraped["honorLabels"]) == (service["spec"]["ports"][0]["name"], True)
    assert len(of_kind(made, "PodMonitor", names.METRICS_APISERVER)) == (0 if values else 1)


def test_dashboards_come_as_configmaps_with_the_label_of_the_sidecar(helm: Helm) -> None:
    made = [each for each in helm.render("monitoring.dashboards=true") if "-dashboard-" in each["metadata"]["name"]]
    files = {f"chatfleet-{file.name}": json.loads(file.read_text()) for file in DASHBOARDS.glob("*.json")}
    assert files
    assert {name: json.loads(text) for each in made for name, text in each["data"].items()} == files
    assert all(each["metadata"]["labels"]["grafana_dashboard"] == "1" for each in made)


def test_namespaces_of_another_release_are_not_scraped(helm: Helm) -> None:
    made = helm.render("monitoring.monitors=true", 'denyNamespaces=["desk"]')
    (pods,) = of_kind(made, "PodMonitor", "chatfleet-pods")
    drop = {"sourceLabels": ["__meta_kubernetes_namespace"], "regex": "desk", "action": "drop"}
    assert drop in pods["spec"]["podMetricsEndpoints"][0]["relabelings"]


def test_every_value_is_tried() -> None:
    assert set(leaves(yaml.safe_load((CHART / "values.yaml").read_text()))) == OTHER_VALUES.keys()


@pytest.mark.parametrize("value", OTHER_VALUES)
def test_every_value_changes_what_is_made(helm: Helm, value: str) -> None:
    switches = {switch.partition("=")[0] for switch in MONITORING}
    others = MONITORING if value.startswith("monitoring.") and value not in switches else ()
    assert helm.render(*others, f"{value}={OTHER_VALUES[value]}") != helm.render(*others)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("operater={}", "operater"),
        ('operator.img="a"', "img"),
        ('operator.image=""', "/operator/image"),
        ('operator.image="a b"', "/operator/image"),
        ("operator.replicas=-1", "/operator/replicas"),
        ("operator.replicas=6", "/operator/replicas"),
        ('operator.logLevel="loud"', "/operator/logLevel"),
        ("operator.workers=0", "/operator/workers"),
        ("operator.resyncSeconds=0", "/operator/resyncSeconds"),
        ('watchNamespaces="shop"', "/watchNamespaces"),
        ('watchNamespaces=["Shop"]', "/watchNamespaces/0"),
        ('watchNamespaces=["shop", "shop"]', "/watchNamespaces"),
        ('denyNamespaces=["Shop"]', "/denyNamespaces/0"),
        ('watchNamespaces=["shop"],denyNamespaces=["desk"]', "anyOf"),
        ('crds.install="yes"', "/crds/install"),
        ('metricsAPIServer.enabled="on"', "/metricsAPIServer/enabled"),
        ("metricsAPIServer.replicas=0", "/metricsAPIServer/replicas"),
        ("metricsAPIServer.periodSeconds=61", "/metricsAPIServer/periodSeconds"),
        ("monitoring.scrapeSeconds=0", "/monitoring/scrapeSeconds"),
        ('monitoring.runbooks="https://example.com"', "/monitoring/runbooks"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(helm: Helm, value: str, named: str) -> None:
    with pytest.raises(HelmError, match=re.escape(named)):
        helm.render(value)
