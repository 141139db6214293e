"""From `kubectl apply` to streamed answers and back to nothing, as a platform team and its applications see it."""

import base64
import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest
from openai import NotFoundError, OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from chatfleet_contract.names import api_key_file
from chatfleet_operator.children.kinds import KINDS
from harness.kube.helm import NAMESPACE as SYSTEM
from harness.kube.node import API_IMAGE, NAMESPACE, ROOT, Node
from harness.pdf import pdf_of
from harness.polling import eventually

pytestmark = pytest.mark.timeout(300)
CONDITIONS = {"Ready", "Available", "ConfigurationValid", "RedisAvailable", "UpstreamsAvailable", "Exposed"}
AT_REST = {"Progressing", "AutoscalingActive", "AccessRestricted"}
"""Not true of what has come to rest, is not scaled by itself, and is open to every caller."""
SAY = "We ship on Fridays"


def client(node: Node) -> OpenAI:
    """Return the official SDK, pointed at the Service."""
    return OpenAI(base_url=f"{node.service('support')}/v1", api_key="none", max_retries=0)


def ask(sdk: OpenAI, model: str, text: str) -> tuple[str, str | None]:
    """Stream one answer and return it whole, with its finish reason."""
    chunks = [*sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], stream=True)]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return said, next((chunk.choices[0].finish_reason for chunk in reversed(chunks) if chunk.choices), None)


def post(url: str, body: dict[str, Any], accept: str = "application/json") -> str:
    """POST JSON and return the body of the answer."""
    headers = {"Content-Type": "application/json", "Accept": accept}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  # our own Service
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own Service
        return str(answer.read().decode())


def get(url: str) -> Any:  # noqa: ANN401  # JSON
    """GET JSON."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # our own Service
        return json.load(answer)


def status(node: Node) -> Any:  # noqa: ANN401  # JSON
    """Return the status of the ChatDeployment."""
    return node.kubectl.json("get", "chatdeployment", "support", "-n", NAMESPACE)["status"]


def pods(node: Node) -> list[str]:
    """Return the names of the API pods that are not on their way out."""
    found = node.kubectl.json("get", "pods", "-n", NAMESPACE, "-l", "chatfleet.io/component=api")["items"]
    return sorted(pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"])


def test_a_ready_chatdeployment_says_so_in_every_condition(support: Node) -> None:
    told = status(support)

    assert {each["type"]: each["status"] for each in told["conditions"]} == (
        dict.fromkeys(CONDITIONS, "True") | dict.fromkeys(AT_REST, "False")
    )
    assert told["readyReplicas"] == 2
    assert told["url"] == "http://support.shop.svc"


def test_kubectl_get_shows_the_columns(support: Node) -> None:
    header, row = support.kubectl("get", "cdep", "support", "-n", NAMESPACE, "-o", "wide").splitlines()

    assert {"NAME", "READY", "REASON", "STREAMS", "URL", "AGE"} <= set(header.split())
    assert "True" in row
    assert "http://support.shop.svc" in row


@pytest.mark.parametrize("model", ["echo", "gpt", "claude"])
def test_the_openai_sdk_streams_from_every_kind_of_upstream(support: Node, model: str) -> None:
    said, finish = ask(client(support), model, SAY)

    assert SAY in said
    assert finish == "stop"


@pytest.mark.parametrize("model", ["echo", "gpt", "claude"])
def test_the_openai_sdk_gets_whole_answers_with_their_usage(support: Node, model: str) -> None:
    answer = client(support).chat.completions.create(model=model, messages=[{"role": "user", "content": SAY}])

    assert SAY in (answer.choices[0].message.content or "")
    assert answer.usage
    assert answer.usage.completion_tokens > 0


def test_the_catalogue_is_what_the_resource_says(support: Node) -> None:
    sdk = client(support)

    assert {model.id for model in sdk.models.list()} == {"echo", "slow", "gpt", "claude"}
    with pytest.raises(NotFoundError, match="does not exist"):
        ask(sdk, "nope", SAY)


def test_a_pod_of_the_cluster_streams_by_the_services_name(support: Node) -> None:
    script = (
        "from openai import OpenAI\n"
        "sdk = OpenAI(base_url='http://support.shop.svc/v1', api_key='none')\n"
        f"asked = [{{'role': 'user', 'content': '{SAY}'}}]\n"
        "for chunk in sdk.chat.completions.create(model='gpt', messages=asked, stream=True):\n"
        "    print(chunk.choices[0].delta.content or '' if chunk.choices else '', end='')\n"
    )

    pod = ["caller", "-n", NAMESPACE, f"--image={API_IMAGE}", "--restart=Never"]
    support.kubectl("run", *pod, "--command", "--", "python", "-c", script)
    support.kubectl("wait", "pod/caller", "-n", NAMESPACE, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")

    assert SAY in support.kubectl("logs", "caller", "-n", NAMESPACE)


def test_a_pod_finds_the_text_of_a_pdf(support: Node) -> None:
    """By a process of its own, which gets no variable of the image."""
    script = (
        "import base64, sys\n"
        "from chatfleet_api.knowledge.pdf_texts import PdfTexts\n"
        "texts = PdfTexts()\n"
        "texts.begin()\n"
        "print(texts.text('a.pdf', lambda: base64.b64decode(sys.stdin.read())))\n"
    )
    pdf = base64.b64encode(pdf_of(SAY)).decode()

    said = support.kubectl(
        "exec", "--stdin", pods(support)[0], "-n", NAMESPACE, "--", "python", "-c", script, stdin=pdf
    )

    assert said.strip() == SAY


def test_a_conversation_outlives_every_pod(support: Node) -> None:
    api = f"{support.service('support')}/api/v1/conversations"
    conversation = json.loads(post(api, {"title": "shipping"}))["id"]
    stream = post(f"{api}/{conversation}/messages", {"content": SAY, "model": "echo"}, accept="text/event-stream")
    before = pods(support)

    support.kubectl("delete", "pod", "-n", NAMESPACE, "--wait=false", *before, "support-redis-0")

    assert stream.count("event: complete") == 1
    eventually(lambda: not is_ready(support))  # so that the wait below is for the new pods
    eventually(lambda: len(pods(support)) == 2 and not set(pods(support)) & set(before), seconds=60)
    support.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    eventually(lambda: contents(f"{api}/{conversation}/messages") == [SAY, SAY])


def contents(url: str) -> list[str]:
    """Return what was said in a conversation; 503 means later, as it does to the SDKs: Redis is on its way back."""
    try:
        return [message["content"].strip() for message in get(url)["messages"]]
    except HTTPError as refused:
        if refused.code == 503 and refused.headers["Retry-After"]:
            return []
        raise


def is_ready(node: Node) -> bool:
    """Whether the ChatDeployment says Ready=True."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status(node)["conditions"])


def test_kubectl_scale_changes_the_number_of_pods(support: Node) -> None:
    support.kubectl("scale", "chatdep/support", "-n", NAMESPACE, "--replicas=3")

    support.kubectl(
        "wait", "chatdep/support", "-n", NAMESPACE, "--for=jsonpath={.status.readyReplicas}=3", "--timeout=90s"
    )
    support.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)
    assert len(pods(support)) == 3


def test_a_stream_ends_whole_while_its_pod_is_deleted(support: Node) -> None:
    asked = ChatCompletionUserMessageParam(role="user", content="count")
    stream = client(support).chat.completions.create(model="slow", messages=[asked], stream=True)
    chunks = [next(stream), next(stream)]

    support.kubectl("delete", "pod", "-n", NAMESPACE, "--wait=false", *pods(support))
    chunks += stream

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said.split() == [str(number) for number in range(1, 101)]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_new_model_is_served_without_a_restart(support: Node) -> None:
    eventually(lambda: len(pods(support)) == 3 and is_ready(support), seconds=60)
    before = pods(support)
    patch = json.dumps(
        [{"op": "add", "path": "/spec/models/-", "value": {"name": "fresh", "provider": "script", "model": "echo"}}]
    )

    support.kubectl("patch", "chatdep/support", "-n", NAMESPACE, "--type=json", "-p", patch)
    support.kubectl.wait("chatdeployment/support", "Ready", namespace=NAMESPACE)

    assert [ask(client(support), "fresh", SAY)[0].strip() for _ in range(6)] == [SAY] * 6
    assert pods(support) == before


def test_a_rotated_key_reaches_running_pods_without_a_restart(support: Node) -> None:
    """The kubelet alone, whose sync period is the default of a minute here, would take up to a minute and a half."""
    before = pods(support)
    rotated = {"stringData": {"openai": "sk-rotated"}}
    support.kubectl("patch", "secret", "llm-keys", "-n", NAMESPACE, "--patch", json.dumps(rotated))

    def key(pod: str) -> str:
        return support.kubectl("exec", pod, "-n", NAMESPACE, "--", "cat", api_key_file("openai"))

    eventually(lambda: {key(pod) for pod in before} == {"sk-rotated"}, seconds=30, every=0.5)
    assert pods(support) == before


def test_a_broken_upstream_is_named_in_a_condition_and_heals(support: Node) -> None:
    slice_of = ["endpointslice/upstream", "-n", NAMESPACE, "--type=json", "-p"]
    support.kubectl("patch", *slice_of, '[{"op":"replace","path":"/endpoints/0/conditions/ready","value":false}]')

    try:
        support.kubectl.wait("chatdeployment/support", "UpstreamsAvailable=False", namespace=NAMESPACE)
        told = {each["type"]: each for each in status(support)["conditions"]}["UpstreamsAvailable"]["message"]
    finally:
        support.kubectl("patch", *slice_of, '[{"op":"replace","path":"/endpoints/0/conditions/ready","value":true}]')

    assert "openai" in told
    assert "anthropic" in told
    support.kubectl.wait("chatdeployment/support", "UpstreamsAvailable", namespace=NAMESPACE)


def test_deletion_cascades_with_the_operator_gone(support: Node) -> None:
    operator = ["deployment/chatfleet", "-n", SYSTEM]
    support.kubectl("scale", *operator, "--replicas=0")
    eventually(lambda: "replicas" not in support.kubectl.json("get", *operator)["status"])

    support.kubectl("delete", "chatdeployment", "support", "-n", NAMESPACE, "--timeout=30s")

    kinds = ",".join(f"{kind.plural}.{kind.group}".rstrip(".") for kind in KINDS if not kind.optional_crd)
    ours = ["get", kinds, "-n", NAMESPACE, "-l", "chatfleet.io/deployment=support"]
    eventually(lambda: not support.kubectl.json(*ours)["items"], seconds=90)
    support.kubectl("scale", *operator, "--replicas=2")
    support.kubectl("rollout", "status", *operator, "--timeout=60s")


def test_the_first_example_answers(installed: Node) -> None:
    installed.kubectl("apply", "-n", "default", "-f", str(ROOT / "examples/01-scripted"))

    installed.kubectl.wait("chatdeployment/hello", "Ready", namespace="default")

    sdk = OpenAI(base_url=f"{installed.service('hello', 'default')}/v1", api_key="none", max_retries=0)
    assert ask(sdk, "echo", SAY) == (SAY, "stop")
