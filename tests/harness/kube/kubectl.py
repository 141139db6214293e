"""kubectl as the tests use it: with a person's words, and with failures that show what it printed."""

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from harness.kube.reads import Reads, RefusedError, UnsupportedError

SECONDS = 30.0
"""For one request."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl against one cluster. What only reads objects goes over a connection that stays open."""

    binary: Path
    kubeconfig: Path

    @cached_property
    def _reads(self) -> Reads:
        return Reads(self.kubeconfig)

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Return what kubectl prints; a failure raises with its words."""
        if args[0] == "get":
            try:
                return self._reads.get(args[1:], timeout)
            except UnsupportedError:
                pass
            except AssertionError as failure:
                raise AssertionError(f"kubectl {' '.join(args)}: {failure}") from None
        return self.run(*args, stdin=stdin, timeout=timeout)

    def run(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run the binary, whatever it is to do."""
        done = subprocess.run(
            [str(self.binary), "--kubeconfig", str(self.kubeconfig), *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr.strip()} {done.stdout.strip()}")
        return done.stdout

    def json(self, *args: str) -> Any:  # noqa: ANN401  # a Kubernetes object of any kind
        """Run kubectl with JSON output."""
        return json.loads(self(*args, "-o", "json"))

    def apply(self, manifest: str) -> None:
        """Apply YAML text by server-side apply, as a GitOps tool would."""
        self("apply", "--server-side", "-f", "-", stdin=manifest)

    def delete(self, kind: str, name: str, namespace: str) -> None:
        """Delete an object, if it is there, over the open connection; its children are deleted in the background."""
        try:
            where = self._reads.resource(kind, SECONDS)
            path = f"{where.path}/namespaces/{namespace}/{where.plural}/{name}"
            self._reads.request("DELETE", path, {"propagationPolicy": "Background"}, timeout=SECONDS)
        except RefusedError as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                raise AssertionError(f"kubectl delete {kind} {name}: {refused}") from None

    def wait(self, resource: str, condition: str, *, namespace: str, seconds: int = 120) -> None:
        """`kubectl wait --for=condition=…`, the way that a platform team scripts it."""
        try:
            self(
                "wait",
                resource,
                f"--for=condition={condition}",
                f"--timeout={seconds}s",
                "-n",
                namespace,
                timeout=seconds + 10,
            )
        except AssertionError as gave_up:
            told = self("get", "-n", namespace, resource, "-o", "yaml")
            pods = self("get", "-n", namespace, "pods", "-o", "wide")
            raise AssertionError(f"{gave_up}\n{told}\n{pods}") from gave_up
