"""kubectl as the tests use it: with a person's words, and with failures that show what it printed."""

import json
import subprocess
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from harness.kube.objects import Objects
from harness.kube.reads import Reads, UnsupportedError


@dataclass(frozen=True)
class Kubectl:
    """kubectl against one cluster. What only reads objects, and `apply`, go over a connection that stays open."""

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

    @cached_property
    def objects(self) -> Objects:
        """Writes without kubectl, to the namespace `default` if none is chosen by `within`."""
        return Objects(self._reads, "default")

    def apply(self, manifest: str) -> None:
        """Apply YAML text as `kubectl apply --server-side` does, over the connection that stays open."""
        applied = replace(self.objects, manager="kubectl", force=False)
        for each in yaml.load_all(manifest, Loader=yaml.CSafeLoader):
            if each:
                applied.within(each["metadata"].get("namespace", applied.namespace)).apply(each)

    def create_namespace(self, name: str) -> None:
        """Create a namespace, which must not exist, over the connection that stays open."""
        self.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

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
