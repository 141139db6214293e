"""Tokens that a real kube-apiserver signs, with the rights that the operator and a strict pod have."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rich.console import Console

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.http.egress.hosts import Hosts
from chatfleet_api.identity.jose import peek
from chatfleet_api.identity.review import TokenReview
from chatfleet_api.identity.service_accounts import ServiceAccountVerifier
from chatfleet_api.identity.tokens import Tokens
from chatfleet_cluster import binaries, controlplane
from chatfleet_cluster.components import api_server_flags
from chatfleet_cluster.processes import GARBAGE
from chatfleet_cluster.progress import Progress
from chatfleet_contract.runtime import RuntimeAccess, RuntimeReview, RuntimeServiceAccounts
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_operator.children.config import runtime_config
from chatfleet_operator.children.labels import Owner
from chatfleet_operator.kube import KubernetesCluster, connect
from chatfleet_operator.model.token_issuer import TokenIssuer
from chatfleet_operator.model.values import Ref
from harness.kube.kubectl import Kubectl
from harness.kube.operated_cluster import spec
from harness.kube.operator_process import NAMESPACE, account, cluster_wide, grant
from harness.net import LOOPBACK, free_port
from harness.pods.live import fixed
from harness.polling import eventually, eventually_async

AUDIENCE = "chatfleet.io/support"
PRIVATE = (
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.NoEncryption(),
)


@pytest.fixture(scope="module")
def operator(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a kubeconfig with the operator's rights, beside callers in two namespaces."""
    kubeconfig = account(kubectl, tmp_path_factory.mktemp("service-accounts"))
    grant(kubectl, *cluster_wide())
    for namespace in ("callers", "strangers"):
        kubectl.create_namespace(namespace)
        for name in ("web", "job"):
            kubectl("create", "serviceaccount", name, "-n", namespace)
    return kubeconfig


def token(kubectl: Kubectl, namespace: str, name: str, audience: str = AUDIENCE) -> bytes:
    return kubectl("create", "token", name, "-n", namespace, f"--audience={audience}").strip().encode()


async def issuer(kubeconfig: Path) -> TokenIssuer:
    """Return what the operator reads with its rights."""
    async with connect({"KUBECONFIG": str(kubeconfig)}, lambda *_: None) as connection:
        return await KubernetesCluster(connection, NAMESPACE).token_issuer()


def accepted(known: TokenIssuer, *, strict: bool = False) -> RuntimeServiceAccounts:
    """Return what pods get."""
    allow = [{"namespace": "callers", "name": "web"}]
    accounts = {"audience": AUDIENCE, "allow": allow, "strict": strict}
    meant = ChatDeploymentSpec.model_validate(spec(access={"serviceAccounts": accounts}))
    found = runtime_config(Owner(Ref("chat", "support"), "u"), meant, known).access.service_accounts
    assert found is not None
    return found


async def answer(settings: RuntimeServiceAccounts, sent: bytes, review: TokenReview | None = None) -> str:
    """Return the tenant of a token, or the code of the refusal."""
    access = RuntimeAccess(anonymous=False, service_accounts=settings)
    verifier = ServiceAccountVerifier(settings, review)
    tokens = Tokens(fixed(access), lambda *_: [verifier], now=lambda: datetime.now(UTC), pepper=b"")
    tokens.find(sent)
    try:
        return (await tokens.verify(sent)).tenant
    except ChatError as error:
        return str(error.code)


async def test_a_token_is_accepted_by_audience_namespace_and_name(kubectl: Kubectl, operator: Path) -> None:
    settings = accepted(await issuer(operator))
    other = "https://kubernetes.default.svc.cluster.local"

    assert await answer(settings, token(kubectl, "callers", "web")) == "callers@serviceaccounts"
    assert await answer(settings, token(kubectl, "callers", "job")) == "permission_denied"
    assert await answer(settings, token(kubectl, "strangers", "web")) == "permission_denied"
    assert await answer(settings, token(kubectl, "callers", "web", "chatfleet.io/other")) == "unauthenticated"
    assert await answer(settings, token(kubectl, "callers", "web", other)) == "unauthenticated"


async def test_strict_refuses_the_token_of_a_deleted_pod_or_serviceaccount(
    kubectl: Kubectl, operator: Path, tmp_path: Path
) -> None:
    kubectl("create", "serviceaccount", "support", "-n", "callers")
    known = await issuer(operator)
    files = {"token_file": str(tmp_path / "token"), "ca_file": str(kubectl.kubeconfig.parent / "pki" / "ca.crt")}
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    url = str(config["clusters"][0]["cluster"]["server"])
    own = kubectl("create", "token", "support", "-n", "callers").strip()
    await asyncio.to_thread((tmp_path / "token").write_text, own)
    review = TokenReview(RuntimeReview(url=url, **files), allow=Hosts.of((LOOPBACK,)))
    settings, sent = accepted(known, strict=True), token(kubectl, "callers", "web")
    pod = {"containers": [{"name": "web", "image": "web"}], "serviceAccountName": "web"}
    kubectl("run", "caller", "-n", "callers", "--image=web", f"--overrides={json.dumps({'spec': pod})}")
    bound = ("--bound-object-kind=Pod", "--bound-object-name=caller", f"--audience={AUDIENCE}")
    of_pod = kubectl("create", "token", "web", "-n", "callers", *bound).strip().encode()

    assert await answer(settings, sent, review) == "identity_unavailable"
    assert "give its ServiceAccount the right to create tokenreviews" in review.problem
    role = ("--clusterrole=system:auth-delegator", "--serviceaccount=callers:support")
    kubectl("create", "clusterrolebinding", "callers-support", *role)
    await asyncio.to_thread(eventually, lambda: "yes" in kubectl(*CAN_REVIEW))
    assert await answer(settings, sent, review) == "callers@serviceaccounts"
    assert review.problem == ""
    assert await answer(settings, of_pod, review) == "callers@serviceaccounts"
    kubectl("delete", "pod", "caller", "-n", "callers", "--grace-period=0", "--force")
    assert await answer(settings, of_pod, review) == "unauthenticated"  # not from the API server's cache of 10 s
    kubectl("delete", "serviceaccount", "web", "-n", "callers")

    async def refused() -> bool:
        return await answer(settings, sent, review) == "unauthenticated"

    try:
        await eventually_async(refused)  # the API server caches tokens for 10 s
        assert await answer(accepted(known), sent) == "callers@serviceaccounts"
    finally:
        kubectl("create", "serviceaccount", "web", "-n", "callers")


CAN_REVIEW = ("auth", "can-i", "create", "tokenreviews", "--as=system:serviceaccount:callers:support")


async def test_a_rotation_of_the_clusters_key_is_followed(kubectl: Kubectl, operator: Path, tmp_path: Path) -> None:
    before = accepted(await issuer(operator))
    async with rotated(kubectl, tmp_path) as (other, kubeconfig):
        old, new = token(kubectl, "callers", "web"), token(other, "callers", "web")
        between = accepted(await issuer(kubeconfig))

        assert [peek(each) is not None for each in (old, new)] == [True, True]
        assert [await answer(before, each) for each in (old, new)] == ["callers@serviceaccounts", "unauthenticated"]
        assert [await answer(between, each) for each in (old, new)] == ["callers@serviceaccounts"] * 2


@asynccontextmanager
async def rotated(kubectl: Kubectl, folder: Path) -> AsyncIterator[tuple[Kubectl, Path]]:
    """Run a second API server on the same etcd that signs with a new key, as one by one are restarted in a rotation."""
    with _second_server(kubectl, folder) as kubeconfig:
        other = Kubectl(kubectl.binary, kubeconfig)
        await asyncio.to_thread(eventually, lambda: other("get", "--raw", "/readyz"))
        yield other, kubeconfig


@contextmanager
def _second_server(kubectl: Kubectl, folder: Path) -> Iterator[Path]:
    plane, key, port = kubectl.kubeconfig.parent, folder / "new.key", free_port()
    key.write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(*PRIVATE))
    program = binaries.ensure(("kube-apiserver",), os.environ, Progress(Console(stderr=True)))["kube-apiserver"]
    flags = (
        *api_server_flags(plane / "pki", f"unix://{plane}/etcd.sock", controlplane.SERVICES),
        *(f"--bind-address={LOOPBACK}", f"--advertise-address={LOOPBACK}", f"--secure-port={port}"),
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        "--endpoint-reconciler-type=none",
    )
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://{LOOPBACK}:{port}"
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    with (
        (folder / "kube-apiserver.log").open("wb") as log,
        subprocess.Popen(
            ("setpriv", "--pdeathsig=KILL", str(program), *flags),
            stdout=log,
            stderr=log,
            env={**os.environ, **GARBAGE},
        ) as process,
    ):
        try:
            yield folder / "kubeconfig"
        finally:
            process.kill()
