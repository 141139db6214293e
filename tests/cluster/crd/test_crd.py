"""What a real API server takes and refuses as a ChatDeployment, and in which words."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatfleet_contract import names
from chatfleet_contract.crd import resource
from chatfleet_contract.pod_fields import FILE, extract
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.status import ChatDeploymentStatus
from harness.kube.chatdeployments import ChatDeployments, Document, RefusedError
from harness.kube.full_chatdeployment import (
    CREDENTIALS,
    OTHER_FIELDS,
    full_chatdeployment,
    with_identities,
    with_own_redis,
    with_volumes,
)
from harness.kube.kstatus import kstatus
from harness.kube.kubectl import Kubectl

FIXTURES = Path(__file__).parent / "fixtures"
CRDS = Path(__file__).parents[3] / "crds"


def read(name: str) -> Any:  # noqa: ANN401  # a fixture of any shape
    return yaml.safe_load((FIXTURES / name).read_text())


MINIMAL: Document = read("minimal.yaml")
FULL = full_chatdeployment()
OWN_REDIS = with_own_redis(FULL)
RULES: list[dict[str, Any]] = read("rules.yaml")
VOLUMES = with_volumes(FULL)
IDENTITIES = with_identities(FULL)


def fixture(parts: Document) -> Document:
    """Return the minimal document with `parts` of its spec or its metadata replaced."""
    spec = {name: value for name, value in parts.items() if name != "metadata"}
    return {
        **MINIMAL,
        "metadata": {**MINIMAL["metadata"], **parts.get("metadata", {})},
        "spec": {**MINIMAL["spec"], **spec},
    }


def tried(kind: str) -> list[Any]:
    return [
        pytest.param(case, parts, id=f"{case['field']}-{i}-{n}")
        for i, case in enumerate(RULES)
        for n, parts in enumerate(case[kind])
    ]


def submit(chatdeployments: ChatDeployments, case: Document, parts: Document) -> None:
    """Create the fixture, or update to it where the rule is about a change."""
    if "before" in case:
        with chatdeployments.kept(fixture(case["before"])) as kept:
            chatdeployments.try_replace({**kept, "spec": fixture(parts)["spec"]})
    else:
        chatdeployments.try_create(fixture(parts))


@pytest.mark.parametrize(("case", "parts"), tried("accepted"))
def test_a_rule_lets_pass_what_it_is_not_about(
    chatdeployments: ChatDeployments, case: Document, parts: Document
) -> None:
    submit(chatdeployments, case, parts)


@pytest.mark.parametrize(("case", "parts"), tried("rejected"))
def test_a_rule_refuses_with_the_field_and_the_remedy(
    chatdeployments: ChatDeployments, case: Document, parts: Document
) -> None:
    with pytest.raises(RefusedError) as refused:
        submit(chatdeployments, case, parts)
    (cause,) = refused.value.causes
    reported = case.get("reported", case["rule"])
    assert (cause.field, cause.message) == (case["field"], f"Invalid value: {reported}")


def test_every_rule_has_its_fixtures_and_says_field_and_remedy() -> None:
    messages = [rule.message for _, node in resource().walk() for rule in node.validations or []]
    assert sorted(messages) == sorted(case["rule"] for case in RULES)
    assert all(case["accepted"] and case["rejected"] for case in RULES)
    for case in RULES:
        wrong, _, remedy = case["rule"].partition("; ")
        assert remedy, wrong


def test_the_full_document_holds_every_field_there_is(chatdeployments: ChatDeployments) -> None:
    seen = set(paths(FULL))
    unseen = {path for path, node in resource().walk() if path.startswith((".spec", ".status"))} - seen
    references = [".spec.redis.urlSecretRef", ".spec.egress.caBundleRef.secretKeyRef"]
    of_identities = {path for path in unseen if path.startswith(f"{CREDENTIALS}.")}
    of_stores = {path for path in unseen if ".knowledge.store." in path}
    of_volumes = {path for path in unseen if ".volumeClaimRef." in path}
    others = {*OTHER_FIELDS, *(f"{each}.{key}" for each in references for key in ("name", "key"))}
    assert unseen == (others | of_identities | of_stores | of_volumes) - seen
    assert of_stores <= set(paths(OWN_REDIS))
    assert of_volumes <= set(paths(VOLUMES))
    assert of_identities <= {path for document in IDENTITIES for path in paths(document)}
    for document in (FULL, OWN_REDIS, VOLUMES, *IDENTITIES):
        chatdeployments.try_create(document)


def paths(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of everything in a document, as a schema writes them."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}")
            yield from (each for each in paths(inner, path + "{}") if each == path + "{}")
    if isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{path}[]")


@pytest.mark.parametrize("document", [MINIMAL, FULL, OWN_REDIS], ids=["minimal", "full", "own-redis"])
def test_the_server_fills_in_exactly_the_defaults_of_the_models_outside_lists_and_choices(
    chatdeployments: ChatDeployments, document: Document
) -> None:
    kept = chatdeployments.try_create(document)["spec"]
    meant = ChatDeploymentSpec.model_validate(document["spec"])
    assert ChatDeploymentSpec.model_validate(kept) == meant
    assert full(kept, lists_of=document["spec"]) == full(meant.document(), lists_of=document["spec"])
    assert not [path for path, node in resource().walk() if "[]" in path and node.default is not None]


def full(value: Any, *, lists_of: Any) -> Any:  # noqa: ANN401  # JSON
    """Return a document without its empty lists and objects, which say the same as their absence.

    Where `lists_of` has a list, or an object that says something by being there, it takes the place of that in the
    document.
    """
    if isinstance(value, dict):
        given = lists_of if isinstance(lists_of, dict) else {}
        inner = {
            name: given.get(name) if name == "managed" else full(each, lists_of=given.get(name))
            for name, each in value.items()
        }
        return {name: each for name, each in inner.items() if each not in ({}, [])}
    return lists_of if isinstance(value, list) and lists_of else value


def test_a_status_comes_back_as_it_was_written(chatdeployments: ChatDeployments) -> None:
    status = ChatDeploymentStatus.model_validate(FULL["status"])
    with chatdeployments.kept({**MINIMAL, "metadata": {"name": "existing"}}) as existing:
        kept = chatdeployments.try_replace_status({**existing, "status": status.document()})
    assert kept["status"] == FULL["status"]


def test_what_no_operator_has_reconciled_is_in_progress(kubectl: Kubectl, chatdeployments: ChatDeployments) -> None:
    """A tool that waits by kstatus would otherwise take an object without a status for a success."""
    with chatdeployments.kept(fixture({"metadata": {"name": "new"}})):
        live = kubectl.json("get", "chatdep/new")
    assert live["status"] == {"observedGeneration": -1}
    assert kstatus(live) == "InProgress"


def test_an_unknown_field_is_named(chatdeployments: ChatDeployments) -> None:
    with pytest.raises(RefusedError, match=r'unknown field "spec\.streaming\.heartbeat"'):
        chatdeployments.try_create(fixture({"streaming": {"heartbeat": 5}}))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"affinity": {"nodeAfinity": {}}}, 'unknown field "spec.template.affinity.nodeAfinity"'),
        ({"tolerations": [{"keys": "a"}]}, 'unknown field "spec.template.tolerations[0].keys"'),
        ({"tolerations": [{"operator": "Exist"}]}, "spec.template.tolerations[0].operator: Unsupported value"),
        ({"topologySpreadConstraints": [{"maxSkew": 1}]}, "topologySpreadConstraints[0].topologyKey: Required value"),
        ({"resources": {"request": {}}}, 'unknown field "spec.template.resources.request"'),
        ({"resources": {"requests": {"cpu": "a lot"}}}, "spec.template.resources.requests.cpu: Invalid value"),
        ({"env": [{"name": "A", "value": 1}]}, "spec.template.env[0].value: Invalid value"),
        ({"env": [{"name": "A", "valueFrom": {"secretRef": {}}}]}, 'field "spec.template.env[0].valueFrom.secretRef"'),
    ],
)
def test_a_typo_in_a_part_of_a_pod_is_refused(chatdeployments: ChatDeployments, part: Document, words: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(words)):
        chatdeployments.try_create(fixture({"template": part}))


POD_FIELDS: Document = {
    "resources": {"requests": {"cpu": 0.5, "memory": "1.5Gi"}, "limits": {"cpu": 1, "memory": "2e9"}},
    "env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}}
            ]
        }
    },
}


def test_parts_of_a_pod_are_kept_as_they_are_given(chatdeployments: ChatDeployments) -> None:
    kept = chatdeployments.try_create(fixture({"template": POD_FIELDS}))["spec"]["template"]

    assert {name: kept[name] for name in POD_FIELDS} == POD_FIELDS


def test_parts_of_a_pod_have_the_schemas_of_this_version_of_kubernetes(kubectl: Kubectl) -> None:
    assert extract(json.loads(kubectl("get", "--raw", "/openapi/v3/apis/apps/v1"))) == FILE.read_text()
    explained = kubectl("explain", "chatdeployment.spec.template.tolerations.tolerationSeconds")
    assert "FIELD: tolerationSeconds <integer>" in explained
    assert "TolerationSeconds represents the period of time" in explained


def test_a_client_that_keeps_a_copy_can_apply_the_definition(kubectl: Kubectl) -> None:
    kubectl("apply", "--dry-run=server", "-f", str(CRDS))


def test_kubectl_explains_defaults_and_bounds(kubectl: Kubectl) -> None:
    def explain(field: str) -> str:
        return " ".join(kubectl("explain", f"chatdeployment.spec.{field}").split())

    assert explain("streaming.maxStreamsPerPod").endswith("Default: 500. Minimum: 1. Maximum: 20000.")
    assert explain("providers.retries.max").endswith("Default: 3. Minimum: 0. Maximum: 10.")


def test_kubectl_scales_and_shows_what_matters(kubectl: Kubectl, chatdeployments: ChatDeployments) -> None:
    status = {**FULL["status"], "models": ["default", "a"]}
    with chatdeployments.kept(fixture({"metadata": {"name": "shown"}})):
        kubectl("scale", "cdep/shown", "--replicas=5")
        patch = json.dumps({"status": status})
        kubectl("patch", "chatdep/shown", "--subresource=status", "--type=merge", "--patch", patch)
        scale = json.loads(
            kubectl("get", "--raw", f"/apis/{names.API_VERSION}/namespaces/default/chatdeployments/shown/scale")
        )
        head, row = kubectl("get", "chatfleet", "-o", "wide", "--field-selector=metadata.name=shown").splitlines()
    assert scale["spec"] == {"replicas": 5}
    assert scale["status"] == {"replicas": status["replicas"], "selector": status["selector"]}
    shown = dict(zip(re.split(r"  +", head), re.split(r"  +", row), strict=True))
    shown.pop("AGE")
    assert shown == {
        "NAME": "shown",
        "READY": "True",
        "REASON": "Serving",
        "AVAILABLE": "True",
        "REPLICAS": "3",
        "READY PODS": "2",
        "STREAMS": "7",
        "TOKENS/S": "150",
        "COST TODAY": "0.0123",
        "URL": "http://fixture.default.svc",
        "EXTERNAL URL": status["externalURL"],
        "MODELS": '["default","a"]',
        "REDIS": "managed",
        "AUTOSCALING": "Scaling",
    }
