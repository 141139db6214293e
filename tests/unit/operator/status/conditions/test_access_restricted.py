"""AccessRestricted is about pods: what the spec has, and whether each pod that reports does it."""

from dataclasses import replace
from typing import Any

import pytest

from chatfleet_operator.model.values import Observed
from harness.kube.operated_cluster import resource
from unit.operator.status.test_conditions import condition, evaluate_conditions, serving, status_and_reason

KEYS = {"apiKeys": [{"secretRef": {"name": "chat-keys"}}]}

ACCOUNTS = {"serviceAccounts": {"audience": "chat", "allow": [{"namespace": "shop", "name": "web"}]}}
JWT = {"jwt": [{"issuer": "https://login.example.com", "audience": "chat", "tenant": "shop"}]}


def with_access(access: dict[str, Any], *, authenticates: bool = True, errors: tuple[str, ...] = ()) -> Observed:
    """Return a snapshot whose pods report whether they authenticate."""
    seen = serving(resource(access=access))
    update = {"authenticates": authenticates, "access_errors": errors}
    pods = tuple(replace(pod, report=pod.report and pod.report.model_copy(update=update)) for pod in seen.pods)
    return replace(seen, pods=pods)


@pytest.mark.parametrize(
    ("seen", "expected", "words"),
    [
        (with_access(KEYS), "True Credentials", "an API key of Secret chat-keys."),
        (with_access(KEYS, errors=("key a of Secret b: it is not UTF-8",)), "True Credentials", "To correct: key a"),
        (with_access(JWT), "True Credentials", "Callers need a token of issuer https://login.example.com."),
        (with_access({**KEYS, **JWT}), "True Credentials", "an API key of Secret chat-keys or a token of issuer https"),
        (with_access(ACCOUNTS), "True Credentials", "a token of ServiceAccount shop/web for audience chat."),
        (with_access({}), "True NoCallers", "Set its serviceAccounts, apiKeys or jwt, or anonymous to true."),
        (
            with_access({"anonymous": True}),
            "False Anonymous",
            "set serviceAccounts, apiKeys or jwt of spec.access instead",
        ),
        (with_access(KEYS, authenticates=False), "False NotEnforced", "callers without a credential"),
        (with_access({}, authenticates=False), "False NotEnforced", "too old for spec.access"),
        (
            replace(with_access(KEYS), pods=tuple(replace(pod, report=None) for pod in with_access(KEYS).pods)),
            "Unknown NoPodReport",
            "No pod has reported",
        ),
        (replace(with_access(KEYS), pods=()), "True Credentials", "chat-keys"),
        (
            replace(serving(), resource=replace(resource(), spec=None, problem="The spec is wrong.")),
            "Unknown Blocked",
            "See ConfigurationValid",
        ),
    ],
)
def test_the_condition_is_what_pods_do(seen: Observed, expected: str, words: str) -> None:
    status = evaluate_conditions(seen)

    assert status_and_reason(status, "AccessRestricted") == expected
    assert words in condition(status, "AccessRestricted").message


def test_ready_does_not_depend_on_it() -> None:
    assert status_and_reason(evaluate_conditions(with_access({"anonymous": True})), "Ready") == "True Serving"
    assert status_and_reason(evaluate_conditions(with_access(KEYS)), "Ready") == "True Serving"


def test_a_missing_secret_is_named() -> None:
    status = evaluate_conditions(replace(with_access(KEYS), empty_secrets=("chat-keys",)))

    assert status_and_reason(status, "ConfigurationValid") == "False SecretMissing"
    assert "Secret chat-keys with API keys of clients" in condition(status, "ConfigurationValid").message


def test_a_missing_secret_with_headers_is_named() -> None:
    server = {"name": "t", "mcp": {"url": "http://t/mcp", "headersFrom": {"secretRef": {"name": "headers"}}}}
    seen = replace(serving(resource(toolServers=[server])), empty_secrets=("headers",))
    message = condition(evaluate_conditions(seen), "ConfigurationValid").message

    assert "Secret headers with headers for a tool server" in message
