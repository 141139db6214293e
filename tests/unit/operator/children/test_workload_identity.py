"""With a workload identity, no object has a key, and pods have a token of their ServiceAccount for each provider."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.credentials import EXCHANGES, WorkloadIdentity
from chatfleet_operator.children import build
from chatfleet_operator.model.values import Desired, LiveState, Manifest, Ref, Resource
from harness.kube.full_chatdeployment import full_chatdeployment, with_identities
from harness.kube.operated_cluster import DEFAULTS

EXAMPLE = Path(__file__).parents[4] / "examples/09-workload-identity/chatdeployment.yaml"
REDIS_SECRET = names.redis_name("keyless")


def built(document: Manifest) -> Desired:
    """Return what the operator makes of `document`."""
    resource = Resource(Ref("shop", "keyless"), "u", "1", 1, ChatDeploymentSpec.model_validate(document["spec"]))
    assert resource.spec
    return build(resource, resource.spec, DEFAULTS, live=LiveState(secret_uid="secret-uid"))


def pods_of(wanted: Desired) -> Manifest:
    """Return the spec of the API pods."""
    (deployment,) = (child for child in wanted.children if child["kind"] == "Deployment")
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def sources_of(pods: Manifest) -> list[Manifest]:
    """Return what is mounted as secrets."""
    (volume,) = (volume for volume in pods["volumes"] if volume["name"] == "secrets")
    sources: list[Manifest] = volume["projected"]["sources"]
    return sources


def named_secrets(value: Any) -> set[str]:  # noqa: ANN401  # JSON
    """Return the names of the Secrets that a part of a pod refers to."""
    if isinstance(value, list):
        return {name for each in value for name in named_secrets(each)}
    if not isinstance(value, dict):
        return set()
    own = {str(inner.get("name") or inner.get("secretName")) for key, inner in value.items() if _is_secret(key, inner)}
    return own | {name for inner in value.values() for name in named_secrets(inner)}


def _is_secret(key: str, value: object) -> bool:
    return key in {"secret", "secretKeyRef", "secretRef"} and isinstance(value, dict)


def test_no_object_of_the_example_is_or_names_a_secret_but_that_of_redis() -> None:
    wanted = built(yaml.safe_load(EXAMPLE.read_text()))
    secrets = {child["metadata"]["name"] for child in wanted.children if child["kind"] == "Secret"}

    assert secrets <= {REDIS_SECRET}
    assert {name for child in wanted.children for name in named_secrets(child.get("spec"))} == {REDIS_SECRET}
    assert "apiKeyFile" not in wanted.config.render()


def test_pods_of_the_example_have_a_token_for_the_audience_of_each_vendor() -> None:
    pods = pods_of(built(yaml.safe_load(EXAMPLE.read_text())))
    tokens = [source["serviceAccountToken"] for source in sources_of(pods) if "serviceAccountToken" in source]

    assert [token["audience"] for token in tokens] == ["https://api.openai.com/v1", "https://api.anthropic.com"]
    assert {token["expirationSeconds"] for token in tokens} == {3600}
    assert pods["automountServiceAccountToken"] is False
    assert pods["serviceAccountName"] == "keyless"


def test_the_token_is_where_the_runtime_configuration_says() -> None:
    wanted = built(yaml.safe_load(EXAMPLE.read_text()))
    mounted = {
        f"{names.SECRETS_DIR}/{source['serviceAccountToken']['path']}"
        for source in sources_of(pods_of(wanted))
        if "serviceAccountToken" in source
    }
    identities = [provider.workload_identity for provider in wanted.config.providers]

    assert {identity.token_file for identity in identities if identity} == mounted
    assert len(mounted) == len(identities)


@pytest.mark.parametrize("document", with_identities(full_chatdeployment()), ids=list(EXCHANGES))
def test_audience_and_lifetime_are_those_of_the_spec(document: Manifest) -> None:
    sources = sources_of(pods_of(built(document)))
    (token,) = (each["serviceAccountToken"] for each in sources if "serviceAccountToken" in each)

    assert (token["audience"], token["expirationSeconds"]) == ("chatfleet", 1200)


def test_each_exchange_of_a_vendor_has_the_audience_of_its_documentation_and_the_general_one_has_none() -> None:
    exchanges: dict[str, Manifest] = {
        "openAI": {"identityProviderID": "p", "serviceAccountID": "s"},
        "anthropic": {"federationRuleID": "f", "organizationID": "o"},
        "aws": {"roleARN": "arn:aws:iam::111122223333:role/chat"},
        "azure": {"tenantID": "t", "clientID": "c"},
    }
    found = {
        name: WorkloadIdentity.model_validate({name: settings}).token_audience for name, settings in exchanges.items()
    }

    assert found == {
        "openAI": "https://api.openai.com/v1",
        "anthropic": "https://api.anthropic.com",
        "aws": "sts.amazonaws.com",
        "azure": "api://AzureADTokenExchange",
    }
