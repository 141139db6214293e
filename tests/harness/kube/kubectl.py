"""kubectl as the tests use it: the same binary, the same words as a person's, with failures that show what was said."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kubectl:
    """kubectl against one cluster."""

    binary: Path
    kubeconfig: Path

    def __call__(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl and return what it printed; a failure raises with its words."""
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
