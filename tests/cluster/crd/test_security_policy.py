"""The admission policy of docs/operations/security.md, on a real API server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.kube.chatdeployments import ChatDeployments, RefusedError
from harness.kube.kubectl import Kubectl
from harness.polling import eventually

PAGE = Path(__file__).parents[3] / "docs" / "operations" / "security.md"
MINIMAL = yaml.safe_load((Path(__file__).parent / "fixtures" / "minimal.yaml").read_text())


def with_spec(**spec: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {**MINIMAL, "spec": {**MINIMAL["spec"], **spec}}


def provider(secret: str) -> dict[str, Any]:
    key = {"name": secret, "key": "key"}
    return {"name": "script", "type": "openai", "apiKeySecretRef": key, "baseURL": "https://llm.example.com/v1"}


def redis(secret: str) -> dict[str, Any]:
    return {"urlSecretRef": {"name": secret, "key": "url"}}


VARIABLE = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}}


@pytest.fixture(scope="module")
def policy(kubectl: Kubectl, chatdeployments: ChatDeployments) -> Iterator[None]:
    """Apply the policy of the page, and wait until the API server enforces it."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    kubectl.apply(text)
    try:
        eventually(lambda: refused(chatdeployments, with_spec(providers=[provider("database")])))
        yield
    finally:
        kubectl("delete", "-f", "-", stdin=text)
        eventually(lambda: not refused(chatdeployments, with_spec(providers=[provider("database")])))


def refused(chatdeployments: ChatDeployments, document: dict[str, Any]) -> str:
    """Return why the API server refuses `document`; empty: it does not."""
    try:
        chatdeployments.try_create(document)
    except RefusedError as refusal:
        return str(refusal)
    return ""


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    "spec",
    [
        {"providers": [provider("database")]},
        {"redis": redis("database")},
    ],
)
def test_another_secret_is_refused(chatdeployments: ChatDeployments, spec: dict[str, Any]) -> None:
    assert "must have names that start with chat-" in refused(chatdeployments, with_spec(**spec))


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("template", [{"image": "example.com/own:1"}, {"env": [VARIABLE]}])
def test_an_image_or_a_variable_that_reads_a_secret_is_refused(
    chatdeployments: ChatDeployments, template: dict[str, Any]
) -> None:
    assert "are not allowed here" in refused(chatdeployments, with_spec(template=template))


@pytest.mark.usefixtures("policy")
def test_its_own_secrets_and_other_settings_are_accepted(chatdeployments: ChatDeployments) -> None:
    template = {"env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]}
    allowed = with_spec(providers=[provider("chat-keys")], redis=redis("chat-redis"), template=template)
    assert refused(chatdeployments, allowed) == ""
    assert refused(chatdeployments, MINIMAL) == ""
