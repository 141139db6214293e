"""Examples that need no account, on a real node, as their READMEs have them: callers with tokens, and a budget."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest

from harness.kube.node import ROOT, Node
from harness.polling import eventually

pytestmark = pytest.mark.timeout(300)
NAMESPACE = "examples"
EXAMPLES = ROOT / "examples"
JWT, BUDGETS = EXAMPLES / "10-jwt", EXAMPLES / "12-budgets"


@pytest.fixture(scope="module")
def examples(installed: Node) -> Iterator[Node]:
    """Apply all of them at once: each waits for its own."""
    kubectl = installed.kubectl
    kubectl("create", "namespace", NAMESPACE)
    kubectl("create", "configmap", "issuer", "-n", NAMESPACE, f"--from-file={JWT / 'issuer.py'}")
    files = (JWT / "issuer.yaml", JWT / "chatdeployment.yaml", BUDGETS / "chatdeployment.yaml")
    kubectl("apply", "-n", NAMESPACE, *(part for file in files for part in ("-f", str(file))))
    yield installed
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def request(url: str, token: str = "", body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Return the status of the answer, and its JSON."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, headers)  # noqa: S310  # our own Service
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
            return int(answer.status), json.load(answer)
    except HTTPError as refused:
        return refused.code, json.load(refused)


def token_of(node: Node, query: str) -> str:
    """Return a token of the issuer with these claims."""
    url = f"{node.service('issuer', NAMESPACE)}/token?{query}"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own Service
        return str(answer.read().decode())


def test_callers_with_a_token_of_the_issuer_are_accepted_each_in_its_tenant(examples: Node) -> None:
    examples.kubectl("rollout", "status", "deployment/issuer", "-n", NAMESPACE, "--timeout=60s")
    examples.kubectl.wait("chatdeployment/members", "Ready", namespace=NAMESPACE)
    url = examples.service("members", NAMESPACE)
    ann, bob, other = (token_of(examples, query) for query in ("org=shop&sub=ann", "org=mill&sub=bob", "scope=other"))
    # Each pod reads the keys by itself, and may be older than the issuer: 503 until it has them.
    eventually(lambda: all(request(f"{url}/v1/models", ann)[0] == 200 for _ in range(10)), seconds=60)
    statuses = [request(f"{url}/v1/models", token)[0] for token in (ann, bob, "", ann[:-9], other)]

    assert statuses == [200, 200, 401, 401, 403]
    made, conversation = request(f"{url}/api/v1/conversations", ann, {})
    assert made == 201
    found = f"{url}/api/v1/conversations/{conversation['id']}"
    assert [request(found, token)[0] for token in (ann, bob)] == [200, 404]


def test_a_budget_refuses_what_does_not_fit_until_it_is_raised(examples: Node) -> None:
    examples.kubectl.wait("chatdeployment/thrifty", "Ready", namespace=NAMESPACE)
    url = f"{examples.service('thrifty', NAMESPACE)}/v1/chat/completions"
    ask = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
    status, answer = request(url, body=ask)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "Hi")
    status, refused = request(url, body={**ask, "max_tokens": 1000})
    assert (status, refused["error"]["code"]) == (429, "budget_exhausted")

    more = {"spec": {"limits": {"budgets": {"perTenant": {"usdPerDay": "0.5"}}}}}
    merge = ("patch", "chatdeployment/thrifty", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(more))
    examples.kubectl(*merge)
    eventually(lambda: request(url, body={**ask, "max_tokens": 1000})[0] == 200)
