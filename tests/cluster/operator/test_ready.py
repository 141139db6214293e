"""Ready and true: passes on a real API server, with pods that a local server plays over real HTTP.

No kubelet and no kube-proxy run here, so this test does by hand what they and the controllers do: it makes Pod objects,
writes the workloads' status, and leads the addresses of pods and Service to its own server.
"""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from chatfleet_contract import names
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from chatfleet_contract.status import ChatDeploymentStatus
from chatfleet_operator.kube import KubernetesCluster, connect
from chatfleet_operator.model.pod_report import MAX_STREAMS, MAX_TOKENS_PER_SECOND
from chatfleet_operator.model.requeue import Requeue
from chatfleet_operator.model.values import Manifest, ObjectId, Ref
from chatfleet_operator.process.prober import HttpProber
from chatfleet_operator.process.settings import Settings
from chatfleet_operator.process.workqueue import QueueConfig, WorkQueue
from chatfleet_operator.reconcile.reconcile import Parts, reconcile
from chatfleet_operator.reconcile.repairs import Repairs
from harness.clients.sdk import HI
from harness.kube.fake_cluster import OPERATOR
from harness.kube.kubectl import Kubectl
from harness.kube.operated_cluster import DEFAULTS, MOMENT, RecordedCalls, document, pod, pod_report
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process, fetch
from harness.upstream.fake import Handler, Reply, fake_upstream
from harness.upstream.wires import OpenAIWire, answering, refusing

NAMESPACE = "ready"
REF = Ref(NAMESPACE, "support")
IP = "192.0.2.1"


@dataclass
class FakePods:
    """The pods of the Deployment, and the Service before them: one server that serves one configuration."""

    config: RuntimeConfig | None = None
    asked: list[str] = field(default_factory=list)
    broken: bool = False
    report: bytes | None = None
    """What pods answer instead of their report."""
    real: ApiProcess | None = None
    """A pod with an upstream: what it reports of it is in the report."""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        assert self.config
        digest = self.config.digest()
        if request.path == "/health" and self.report is not None:
            return web.Response(body=self.report, content_type="application/json")
        if request.path == "/health":
            return web.json_response({**pod_report("support-0", digest).document(), **await self._of_upstreams()})
        if self.broken:
            return web.Response(status=500)
        models = {"object": "list", "data": [{"id": model.name} for model in self.config.models]}
        return web.json_response(models, headers={names.HEADER_CONFIG: digest})

    async def _of_upstreams(self) -> Manifest:
        if self.real is None:
            return {}
        report = (await asyncio.to_thread(self.real.health, "/health")).json
        return {name: report[name] for name in ("upstreams", "models")}


@dataclass
class Reconciliation:
    """One ChatDeployment, its pods, and passes over it."""

    kubectl: Kubectl
    parts: Parts
    pods: FakePods

    async def reconcile_until_done(self) -> Requeue:
        while (end := await reconcile(REF, self.parts)).requeue is Requeue.IMMEDIATELY:
            pass
        return end.requeue

    async def record(self, *words: str, stdin: str | None = None) -> str:
        return await asyncio.to_thread(self.kubectl, *words, stdin=stdin)

    async def apply(self, manifest: Manifest) -> None:
        await asyncio.to_thread(self.kubectl.apply, yaml.safe_dump(manifest))

    async def get(self, kind: str, name: str) -> Manifest:
        live = await self.parts.cluster.child(NAMESPACE, ObjectId(kind, name))
        assert live
        return live

    async def write_status(self, what: str, status: Manifest) -> None:
        await asyncio.to_thread(self.kubectl.objects.within(NAMESPACE).merge, what, {"status": status}, "status")

    async def start_pod(self) -> None:
        made = pod("support-0", IP, ref=REF)
        bare = {"containers": [{"name": "api", "image": "i"}], "serviceAccountName": "support-of-test"}
        await self.apply({**made, "spec": bare})
        await self.write_status("pod/support-0", {**made["status"], "podIPs": [{"ip": IP}]})

    async def roll_out(self) -> None:
        """Do what controllers and kubelet do once a pod runs with the configuration that is in the cluster."""
        for kind, name in (("Deployment", "support"), ("StatefulSet", "support-redis")):
            live = await self.get(kind, name)
            figures = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
            status = {**figures, "observedGeneration": live["metadata"]["generation"]}
            await self.write_status(f"{kind}/{name}", status)
        data = (await self.get("ConfigMap", "support-runtime"))["data"]
        self.pods.config = RuntimeConfig.model_validate_json(data[names.CONFIG_KEY])

    async def status(self) -> ChatDeploymentStatus:
        resource = await self.parts.cluster.resource(REF)
        assert resource
        return resource.status

    async def ready(self) -> str:
        found = next(each for each in (await self.status()).conditions or () if each.type == "Ready")
        return f"{found.status.value} {found.reason} {found.observed_generation}"


@asynccontextmanager
async def played(pods: FakePods) -> AsyncIterator[HttpProber]:
    """Serve `pods` on loopback, and lead every address of the cluster there."""
    app = web.Application()
    app.router.add_get("/{path:.*}", pods.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as session:
        yield HttpProber(session, locate=lambda _host, _port: f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


@pytest.fixture(scope="module", autouse=True)
def namespace(kubectl: Kubectl) -> None:
    kubectl.create_namespace(NAMESPACE)
    kubectl("create", "serviceaccount", "support-of-test", "-n", NAMESPACE)


@pytest.fixture
async def reconciliation(kubectl: Kubectl) -> AsyncIterator[Reconciliation]:
    environ = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)}
    told, pods = RecordedCalls(), FakePods()
    async with connect(environ, lambda *_: None) as connection, played(pods) as prober:
        parts = Parts(
            cluster=KubernetesCluster(connection, OPERATOR),
            prober=prober,
            recorder=told,
            metrics=told,
            repairs=Repairs(OPERATOR, asyncio.get_running_loop().time),
            defaults=DEFAULTS,
            now=lambda: MOMENT,
        )
        yield Reconciliation(kubectl, parts, pods)


async def test_ready_is_true_only_for_what_was_asked_and_answered(reconciliation: Reconciliation) -> None:
    await reconciliation.apply(document(REF, replicas=1))
    await reconciliation.reconcile_until_done()
    assert await reconciliation.ready() == "False NoReadyPods 1"
    assert reconciliation.pods.asked == []

    await reconciliation.start_pod()
    await reconciliation.roll_out()
    reconciliation.pods.broken = True
    await reconciliation.reconcile_until_done()
    assert await reconciliation.ready() == "False RequestFailed 1"

    reconciliation.pods.broken = False
    assert await reconciliation.reconcile_until_done() is Requeue.SETTLED
    assert await reconciliation.ready() == "True Serving 1"
    assert set(reconciliation.pods.asked) == {"/health", "/v1/models"}
    await reconciliation.record("wait", "chatdep/support", "--for=condition=Ready", "--timeout=2s", "-n", NAMESPACE)

    await reconciliation.apply(document(REF, replicas=1, conversations={"ttlSeconds": 7200}))
    await reconciliation.reconcile_until_done()
    assert await reconciliation.ready() == "Unknown Updating 2"
    await reconciliation.record("wait", "chatdep/support", "--for=condition=Available", "-n", NAMESPACE, "--timeout=2s")
    config = (await reconciliation.get("ConfigMap", "support-runtime"))["data"][names.CONFIG_KEY]
    touched = (await reconciliation.get("Pod", "support-0"))["metadata"]["annotations"][names.ANNOTATION_CONFIG_HASH]
    assert touched == RuntimeConfig.model_validate_json(config).digest()

    await reconciliation.roll_out()
    await reconciliation.reconcile_until_done()
    assert await reconciliation.ready() == "True Serving 2"
    columns = await reconciliation.record("get", "chatdep/support", "-n", NAMESPACE)
    assert columns.splitlines()[1].split()[1:4] == ["True", "Serving", "True"]


LONG = "x" * 900_000


@pytest.mark.parametrize(
    ("changes", "streams", "rate"),
    [
        pytest.param({"tokensPerSecond": float("inf")}, 0, None, id="a rate of 1e400"),
        pytest.param({"activeStreams": 10**30}, MAX_STREAMS, None, id="a count beyond any integer"),
        pytest.param({"tokensPerSecond": 1e300}, 0, round(MAX_TOKENS_PER_SECOND), id="a rate beyond any integer"),
        pytest.param({"redis": {"state": "down", "message": LONG}}, 0, None, id="a message of 0.9 MB"),
        pytest.param({"config": "", "configError": LONG}, 0, None, id="an error of 0.9 MB"),
    ],
)
async def test_a_report_out_of_bounds_never_freezes_the_status(
    reconciliation: Reconciliation, changes: Manifest, streams: int, rate: int | None
) -> None:
    await reconciliation.apply(document(REF, replicas=1))
    await reconciliation.reconcile_until_done()
    await reconciliation.start_pod()
    await reconciliation.roll_out()
    assert reconciliation.pods.config
    sound = pod_report("support-0", reconciliation.pods.config.digest()).document()
    body = json.dumps({**sound, **changes}).replace("Infinity", "1e400")
    reconciliation.pods.report = body.encode()
    await reconciliation.reconcile_until_done()
    status = await reconciliation.status()

    assert (status.active_streams, status.tokens_per_second) == (streams, rate)
    reconciliation.pods.report = None
    await reconciliation.reconcile_until_done()
    assert (await reconciliation.ready()).startswith("True Serving")
    assert (await reconciliation.status()).active_streams == 0


RESYNC = Settings.model_fields["resync_seconds"].default
MODEL = {"name": "default", "provider": "up", "model": "gpt-x"}
GONE = refusing(404, b'{"error": {"message": "The model gpt-x does not exist"}}')


async def test_conditions_follow_what_requests_meet_within_ten_seconds(
    reconciliation: Reconciliation, tmp_path: Path
) -> None:
    """A real pod meets a real failure; only clients' requests show it, because the upstream has no list of models."""

    def upstream(chat: Handler) -> Handler:
        async def script(reply: Reply) -> None:
            await (chat if reply.request.method == "POST" else refusing(404))(reply)

        return script

    async def wait_for(condition: str) -> float:
        begun = asyncio.get_running_loop().time()
        await reconciliation.record("wait", "chatdep/support", f"--for=condition={condition}", "-n", NAMESPACE)
        return asyncio.get_running_loop().time() - begun

    async def request(pod: ApiProcess) -> None:
        for _ in range(3):
            await asyncio.to_thread(fetch, f"{pod.url}/v1/chat/completions", {"model": "default", "messages": [HI]})

    async with fake_upstream(upstream(answering(OpenAIWire()))) as fake:
        provider = RuntimeProvider(name="up", type=ProviderType.OPENAI_COMPATIBLE, base_url=f"{fake.url}/v1")
        served = RuntimeConfig(
            deployment="support",
            namespace=NAMESPACE,
            providers=(provider,),
            models=(Model.model_validate(MODEL),),
            egress=LOOPBACK_EGRESS,
        )
        with api_process(tmp_path, served) as pod:
            reconciliation.pods.real = pod
            providers = [{"name": "up", "type": "openAICompatible", "baseURL": "http://llm:8000/v1"}]
            await reconciliation.apply(document(REF, replicas=1, providers=providers, models=[MODEL]))
            await reconciliation.reconcile_until_done()
            await reconciliation.start_pod()
            await reconciliation.roll_out()
            queue = WorkQueue(
                partial(reconcile, parts=reconciliation.parts), Uncounted(), random.random, QueueConfig(resync=RESYNC)
            )
            queue.enqueue(REF)
            working = asyncio.ensure_future(queue.run())
            try:
                await wait_for("Ready")
                fake.answers(upstream(GONE))
                await request(pod)
                assert await wait_for("Ready=False") < 10
                found = {each.type: each for each in (await reconciliation.status()).conditions or ()}
                unavailable = found["UpstreamsAvailable"]
                assert (unavailable.status.value, unavailable.reason) == ("False", "Unavailable")
                assert "Upstream up: requests for model gpt-x fail: HTTP 404" in unavailable.message
                assert "The model gpt-x does not exist" in unavailable.message
                fake.answers(upstream(answering(OpenAIWire())))
                await request(pod)
                assert await wait_for("Ready") < 10
            finally:
                working.cancel()


class Uncounted:
    """`workqueue.Metrics` that nobody reads."""

    def reconciled(self, seconds: float, *, failed: bool) -> None:
        """Count nothing."""
