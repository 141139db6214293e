"""A pod on a real node authenticates by its ServiceAccount, and no Secret has a key."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest
import yaml
from openai import OpenAI
from typing_extensions import override

from harness.kube.node import Node, upstream_manifest
from harness.net import free_port

pytestmark = pytest.mark.timeout(300)
NAMESPACE = "keyless"
AUDIENCE = "https://vendor.example.com"
ACCESS_TOKEN = "short-lived"  # of the fake
CHATDEPLOYMENT = f"""
apiVersion: chatfleet.io/v1beta1
kind: ChatDeployment
metadata: {{name: support, namespace: {NAMESPACE}}}
spec:
  access: {{anonymous: true}}
  providers:
    - name: vendor
      type: openAICompatible
      baseURL: http://upstream.{NAMESPACE}.svc:9100/v1
      credentials:
        workloadIdentity:
          audience: {AUDIENCE}
          lifetimeSeconds: 600
          tokenExchange: {{url: "http://upstream.{NAMESPACE}.svc:9100/token"}}
  models:
    - {{name: default, provider: vendor, model: m}}
  redis:
    managed: {{storage: 64Mi}}
"""
CHUNKS = (
    '{"choices":[{"index":0,"delta":{"content":"Friday"}}]}',
    '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    "[DONE]",
)


@dataclass
class Vendor:
    """A vendor that gives access tokens, and answers to whoever has one."""

    subjects: list[str] = field(default_factory=list)
    """Tokens of the ServiceAccount, as they came."""
    refused: list[str] = field(default_factory=list)
    """Requests without the access token."""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return the handler of its requests."""
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._require("application/json", b'{"object":"list","data":[{"id":"m"}]}')

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/token":
                    vendor.subjects.append(parse_qs(body.decode())["subject_token"][0])
                    answer = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300}
                    self._answer(200, "application/json", json.dumps(answer).encode())
                else:
                    self._require("text/event-stream", "".join(f"data: {each}\n\n" for each in CHUNKS).encode())

            @override
            def log_message(self, *args: object) -> None:
                """Write no log."""

            def _require(self, content_type: str, body: bytes) -> None:
                if self.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}":
                    self._answer(200, content_type, body)
                else:
                    vendor.refused.append(self.path)
                    self._answer(401, "application/json", b"{}")

            def _answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


@contextmanager
def vendor_on(node: Node) -> Iterator[Vendor]:
    """Run the vendor on this machine, with a Service in the cluster."""
    vendor, port = Vendor(), free_port()
    with ThreadingHTTPServer((node.host, port), vendor.handler()) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        node.kubectl("create", "namespace", NAMESPACE)
        node.kubectl.apply(upstream_manifest(node, port).replace("namespace: shop", f"namespace: {NAMESPACE}"))
        try:
            yield vendor
        finally:
            node.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
            server.shutdown()


def review(node: Node, token: str, *audiences: str) -> dict[str, object]:
    """Return what the API server knows of a token."""
    spec = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    found: dict[str, object] = json.loads(
        node.kubectl("create", "-f", "-", "-o", "json", stdin=yaml.safe_dump(document))
    )["status"]
    return found


def test_a_pod_exchanges_the_token_of_its_service_account_and_no_secret_has_a_key(installed: Node) -> None:
    with vendor_on(installed) as vendor:
        installed.kubectl.apply(CHATDEPLOYMENT)
        installed.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
        sdk = OpenAI(base_url=f"{installed.service('support', NAMESPACE)}/v1", api_key="none", max_retries=0)
        answer = sdk.chat.completions.create(model="default", messages=[{"role": "user", "content": "When?"}])
        subject = vendor.subjects[-1]
        known, at_the_api_server = review(installed, subject, AUDIENCE), review(installed, subject)
        secrets = installed.kubectl.json("get", "secrets", "-n", NAMESPACE)["items"]

    assert answer.choices[0].message.content == "Friday"
    assert vendor.refused == []
    assert (known["authenticated"], known["audiences"]) == (True, [AUDIENCE])
    assert isinstance(known["user"], dict)
    assert known["user"]["username"] == f"system:serviceaccount:{NAMESPACE}:support"
    assert not at_the_api_server.get("authenticated")
    assert [(each["metadata"]["name"], sorted(each["data"])) for each in secrets] == [
        ("support-redis", ["password", "url"])
    ]
