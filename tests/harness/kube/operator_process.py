"""The operator as a process, with exactly the rights that its code asks for, beside a real API server."""

import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from chatfleet_contract import metrics
from chatfleet_operator.kube import CLUSTER_RULES, LEASE_RULES, RULES, Rule
from chatfleet_operator.model.values import Manifest
from chatfleet_operator.process.settings import PREFIX
from harness.fork_server import forked
from harness.kube.kubectl import Kubectl
from harness.net import free_port
from harness.polling import eventually
from harness.process import Program, await_ready

NAMESPACE = "chatfleet-system"
ACCOUNT = "chatfleet-operator"
ELECTION_SECONDS = 60
"""Four times what a Lease of a dead leader holds others off: elections are late on a busy machine."""
RBAC = "rbac.authorization.k8s.io/v1"


def role(kind: str, name: str, rules: tuple[Rule, ...], namespace: str | None = None) -> Manifest:
    """Return a Role or ClusterRole with `rules`."""
    return {
        "apiVersion": RBAC,
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "rules": [
            {
                "apiGroups": [rule.group],
                "resources": [rule.resource],
                "verbs": list(rule.verbs),
                **({"resourceNames": list(rule.names)} if rule.names else {}),
            }
            for rule in rules
        ],
    }


def binding(kind: str, of: Manifest, account: str) -> Manifest:
    """Return the binding of a role to an account."""
    return {
        "apiVersion": RBAC,
        "kind": kind,
        "metadata": of["metadata"],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": of["kind"], "name": of["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
    }


def grant(kubectl: Kubectl, *roles: Manifest, account: str = ACCOUNT) -> None:
    """Give an account the rights in `roles`."""
    kinds = {"ClusterRole": "ClusterRoleBinding", "Role": "RoleBinding"}
    objects = [*roles, *(binding(kinds[each["kind"]], each, account) for each in roles)]
    kubectl.apply(yaml.safe_dump_all(objects))


def cluster_wide() -> tuple[Manifest, Manifest]:
    """Return the rights of an operator that watches the whole cluster."""
    return (
        role("ClusterRole", ACCOUNT, (*RULES, *CLUSTER_RULES)),
        role("Role", ACCOUNT, LEASE_RULES, NAMESPACE),
    )


def account(kubectl: Kubectl, folder: Path, name: str = ACCOUNT) -> Path:
    """Make an account, without any rights, and return a kubeconfig with its token."""
    head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    own = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}
    kubectl.apply(yaml.safe_dump_all([head, own]))
    token = kubectl.objects.within(NAMESPACE).token(name)
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["users"] = [{"name": each["name"], "user": {"token": token}} for each in config["users"]]
    file = folder / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@dataclass
class OperatorProcess:
    """A running operator."""

    program: Program
    port: int

    @property
    def log(self) -> Path:
        return self.program.log

    def get(self, path: str) -> tuple[int, str]:
        """Ask the health port; status 0: nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that carry `labels`."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def writes(self) -> dict[str, float]:
        """Return what was written so far, by kind; the Lease apart."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        written: dict[str, float] = {}
        for family in families:
            for sample in family.samples:
                if sample.name == metrics.API_WRITES_TOTAL and sample.labels["kind"] != "Lease":
                    written[sample.labels["kind"]] = written.get(sample.labels["kind"], 0) + sample.value
        return written

    def reconciled(self, times: int) -> None:
        """Return after so many more passes, of any object."""
        name = f"{metrics.RECONCILE_DURATION_SECONDS}_count"
        before = self.metric(name)
        eventually(lambda: self.metric(name) >= before + times)

    def leads(self) -> bool:
        """Say whether this operator holds the Lease."""
        return self.metric(metrics.LEADER) == 1

    def elected(self) -> None:
        """Wait until this operator holds the Lease."""
        eventually(self.leads, seconds=ELECTION_SECONDS)

    def stop(self) -> int:
        """Ask it to end and return the exit status."""
        self.program.terminate()
        return self.program.exit_status()

    def kill(self) -> None:
        """End it, as `kill -9` does, and return when it has ended."""
        self.program.kill()
        self.program.exit_status()


@contextmanager
def operator(kubeconfig: Path, log: Path, settings: Mapping[str, str]) -> Iterator[OperatorProcess]:
    """Run the operator until the end of the body; it is ready when the body begins.

    It is forked from a process that has imported it. It is asked to end, so that it releases its Lease: the next
    operator leads at once, not after 15 s.
    """
    port = free_port()
    given = {"HEALTH_PORT": str(port), "NAMESPACE": NAMESPACE, "LOG_FORMAT": "text", **settings}
    environment = {"KUBECONFIG": str(kubeconfig), **{PREFIX + name: value for name, value in given.items()}}
    with forked(log.stem, "chatfleet_operator.__main__", folder=log.parent, environment=environment) as program:
        running = OperatorProcess(program, port)
        await_ready(program, lambda: running.get("/ready")[0] == 200, port=port)
        with quoting(log, "operator"):
            yield running
            if program.running:
                program.terminate()
                program.exit_status()


@contextmanager
def quoting(log: Path, whose: str) -> Iterator[None]:
    """Let a failure in the block quote the end of a log."""
    try:
        yield
    except (AssertionError, TimeoutError) as failed:
        raise AssertionError(f"{failed}\nThe {whose}'s log:\n{log.read_text()[-8000:]}") from failed
