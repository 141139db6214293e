"""The CustomResourceDefinition of ChatDeployment, written from the models of `spec` and `status`.

`python -m chatfleet_contract.crd` (`make crds`) writes the definition, the chart's copy of it, its
dashboards, and the references; with `--check` it only reports stale files. Needs the extra `chatfleet-contract[crds]`
(PyYAML); pods do not.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from chatfleet_contract import generated_files, names
from chatfleet_contract.dashboards.grafana import dashboards
from chatfleet_contract.parts import Json
from chatfleet_contract.pod_fields import with_pod_fields
from chatfleet_contract.reference import conditions_reference, metrics_reference, reference
from chatfleet_contract.schema import Rule, Schema, explained, structural, with_pattern_messages
from chatfleet_contract.spec import RESOURCE_RULES, ChatDeploymentSpec
from chatfleet_contract.status import ChatDeploymentStatus

NAME = f"{names.PLURAL}.{names.GROUP}"
NOT_OBSERVED: Json = {"observedGeneration": -1}
"""The status of an object that no operator has reconciled: tools would take no status for a success (kstatus)."""


def definition() -> Json:
    """Return the CustomResourceDefinition (apiextensions.k8s.io/v1) as a JSON object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Uninstalling the chart must not delete the ChatDeployments.
        "metadata": {"name": NAME, "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": list(names.SHORT_NAMES),
                "categories": list(names.CATEGORIES),
            },
            "versions": [_version()],
        },
    }


def resource() -> Schema:
    """Return the schema of a whole ChatDeployment."""
    return Schema(
        description="A streaming chat API: pods that answer from upstream models and store conversations in Redis.",
        type="object",
        required=["spec"],
        properties={
            "apiVersion": Schema(description=f"Version of this schema: {names.API_VERSION}.", type="string"),
            "kind": Schema(description=f"Kind of this object: {names.KIND}.", type="string"),
            # Kubernetes has its own schema of metadata and accepts only the name, which a rule below uses.
            "metadata": Schema(type="object", properties={"name": Schema(type="string")}),
            "spec": structural(ChatDeploymentSpec),
            "status": structural(ChatDeploymentStatus).model_copy(update={"default": NOT_OBSERVED}),
        },
        validations=[Rule.model_validate(each) for each in RESOURCE_RULES],
    )


def _version() -> Json:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            _column(
                "Ready",
                '.status.conditions[?(@.type=="Ready")].status',
                "Status of the condition Ready.",
            ),
            _column("Reason", '.status.conditions[?(@.type=="Ready")].reason', "Reason of the condition Ready."),
            _column(
                "Available",
                '.status.conditions[?(@.type=="Available")].status',
                "Status of the condition Available.",
            ),
            _column("Replicas", ".status.desiredReplicas", "Desired number of pods.", type_="integer"),
            _column("Ready Pods", ".status.readyReplicas", "Ready pods.", type_="integer"),
            _column("Streams", ".status.activeStreams", "Open streams of all pods.", type_="integer"),
            _column("Tokens/s", ".status.tokensPerSecond", "Tokens per second of all pods.", type_="integer"),
            _column("Cost today", ".status.usage.costUSD", "Cost in USD of the answers of the day of status.usage."),
            _column("URL", ".status.url", "URL of the API inside the cluster."),
            _column("External URL", ".status.externalURL", "URL of the load balancer.", wide=True),
            _column("Models", ".status.models", "Names of the models.", wide=True),
            _column("Redis", ".status.redis", "Type of the Redis: managed or external.", wide=True),
            _column(
                "Autoscaling",
                '.status.conditions[?(@.type=="AutoscalingActive")].reason',
                "Reason of the condition AutoscalingActive.",
                wide=True,
            ),
            _column("Age", ".metadata.creationTimestamp", "Time since creation.", type_="date"),
        ],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": _explained_spec(resource()).document()},
    }


def _explained_spec(whole: Schema) -> Schema:
    fields = whole.properties or {}
    return whole.model_copy(update={"properties": {**fields, "spec": _written(fields["spec"])}})


def _written(spec: Schema) -> Schema:
    return with_pod_fields(explained(with_pattern_messages(spec)))


def _column(name: str, path: str, description: str, *, type_: str = "string", wide: bool = False) -> Json:
    priority: Json = {"priority": 1} if wide else {}
    return {"name": name, "type": type_, "description": description, "jsonPath": path, **priority}


def generated() -> dict[str, str]:
    """Return the text of every generated file, by its path in the repository."""
    # Via JSON, which copies shared parts: YAML would otherwise write them as anchors and aliases.
    text = yaml.safe_dump(json.loads(json.dumps(definition())), sort_keys=False, width=120, allow_unicode=True)
    text = f"# Generated by `make crds` from contract/chatfleet_contract; edit the models there.\n{text}"
    return {
        f"crds/{NAME}.yaml": text,
        f"charts/chatfleet/files/{NAME}.yaml": text,
        f"docs/reference/{names.SINGULAR}.md": reference(resource()),
        "docs/reference/conditions.md": conditions_reference(),
        "docs/reference/metrics.md": metrics_reference(),
        **{f"charts/chatfleet/files/monitoring/dashboards/{name}": content for name, content in dashboards().items()},
    }


def main(arguments: Sequence[str]) -> int:
    """Write the generated files under the root of the repository; return 1 if `--check` found a stale one."""
    parser = generated_files.arguments(main.__doc__, "python -m chatfleet_contract.crd")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository; default: the current folder")
    options = parser.parse_args(arguments)
    return generated_files.write(generated(), root=options.root, command="make crds", check=options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
