"""An operator whose settings restrict Secrets and templates, beside a real API server."""

import json
from pathlib import Path

from chatfleet_contract import names
from harness.kube.kubectl import Kubectl
from harness.kube.live_chatdeployment import LiveChatDeployment
from harness.kube.operator_process import account, cluster_wide, grant, operator
from harness.polling import eventually

KEY = {"name": "own", "key": "key"}
SPEC = {
    "providers": [
        {"name": "scripted", "type": "scripted"},
        {"name": "openai", "type": "openai", "apiKeySecretRef": KEY},
    ],
    "redis": {"urlSecretRef": KEY},
}
TEMPLATE = {"image": "example.com/own:1", "env": [{"name": "A", "valueFrom": {"secretKeyRef": KEY}}]}


def test_what_is_not_allowed_is_named_and_in_no_pod_until_it_is_allowed(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.create_namespace("restricted")
    kubectl("create", "secret", "generic", "own", "--from-literal=key=redis://redis", "-n", "restricted")
    kubeconfig = account(kubectl, tmp_path)
    grant(kubectl, *cluster_wide())
    shop = LiveChatDeployment(kubectl, "restricted")

    def in_pods(words: str) -> bool:
        return words in json.dumps(shop.get("deployment/support")["spec"]["template"]["spec"])

    def label(change: str) -> None:
        kubectl("label", "secret", "own", change, "-n", "restricted")

    settings = {"SECRETS_NEED_LABEL": "true", "RESTRICT_TEMPLATE": "true", "NAMESPACES": "restricted"}
    with operator(kubeconfig, tmp_path / "operator.log", settings) as running:
        running.elected()
        shop.apply(**SPEC, template=TEMPLATE)
        ignored = ("spec.template.image", "spec.template.env[0].valueFrom")
        eventually(shop.has_condition("ConfigurationValid", "FieldNotAllowed", *ignored))
        assert not in_pods("example.com/own:1")

        shop.apply(**SPEC)
        fields = ("spec.providers[1].apiKeySecretRef", "spec.redis.urlSecretRef", "chatfleet.io/allowed=support")
        eventually(shop.has_condition("ConfigurationValid", "SecretNotAllowed", *fields))
        assert not in_pods('"own"')

        label(f"{names.LABEL_ALLOWED}=support")
        eventually(shop.has_condition("ConfigurationValid", "Valid"))
        assert in_pods('"own"')
        label(f"{names.LABEL_ALLOWED}-")
        eventually(shop.has_condition("ConfigurationValid", "SecretNotAllowed"))
        assert not in_pods('"own"')
