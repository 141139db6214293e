"""Pods as processes export to a real OpenTelemetry collector, through the outbound guard."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatfleet_contract.runtime import RuntimeAccess, RuntimeConfig, RuntimeKeys, RuntimeProvider
from chatfleet_contract.spec import LogLevel, Observability
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.clients.reader import Reader, begin
from harness.collector import Collector, Received, collector
from harness.net import LOOPBACK_EGRESS, free_port
from harness.pods.api_process import ApiProcess, api_process, fetch, new_api_process
from harness.polling import eventually

FAILING = "count-0:upstream_overloaded"
LATE = "count-5/5"
"""Its first token comes after 5 s: time to kill the pod before anything of the answer was visible."""
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def config(endpoint: str, **fields: Any) -> RuntimeConfig:  # noqa: ANN401  # fields of any part
    observability = Observability(log_level=LogLevel.DEBUG, otlp_endpoint=endpoint)
    return RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED, retries=Retries(max=0)),),
        models=(
            Model(name="default", provider="scripted", model=FAILING, fallbacks=["late"]),
            Model(name="late", provider="scripted", model=LATE),
            Model(name="echo", provider="scripted", model="echo"),
        ),
        egress=LOOPBACK_EGRESS,
        observability=observability,
        **fields,
    )


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with collector(tmp_path_factory.mktemp("collector")) as running:
        yield running


def chat(pod: ApiProcess, content: str, **headers: str) -> Any:  # noqa: ANN401  # JSON
    body = {"model": "echo", "messages": [{"role": "user", "content": content}]}
    return fetch(f"{pod.url}/v1/chat/completions", body, **headers).json


def lines(pod: ApiProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pod.log.read_text().splitlines() if line.startswith("{")]


def metric(pod: ApiProcess, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", pod.health("/metrics").body.decode(), re.MULTILINE)
    assert found
    return float(found[1])


def exemplars(pod: ApiProcess) -> set[str]:
    """Return the traces that the times to first tokens lead to, as Prometheus scrapes them; at least one."""
    scraped = fetch(f"{pod.health_url}/metrics", Accept="application/openmetrics-text;version=1.0.0").body.decode()
    line = r'^chatfleet_time_to_first\S+ \S+ # {span_id="\w{16}",trace_id="(\w{32})"}'
    found = set(re.findall(line, scraped, re.MULTILINE))
    assert found
    return found


@pytest.mark.feature(49)
def test_the_answer_of_a_pod_that_was_killed_is_one_trace(tmp_path: Path, redis_url: str, received: Collector) -> None:
    (tmp_path / "redis").write_text(redis_url)
    served = config(received.endpoint, redis_url_file=str(tmp_path / "redis"))
    with (
        api_process(tmp_path, served, CHATFLEET_POD_NAME="first") as first,
        api_process(tmp_path, served, CHATFLEET_POD_NAME="second") as second,
    ):
        reader, conversation = Reader(), begin(first)
        reader.say(first, conversation, tokens=0)

        def of(pod: str, name: str) -> list[Received]:
            return [span for span in received.named(name) if span.resource["service.instance.id"] == pod]

        eventually(lambda: bool(of("first", f"chat {FAILING}")))
        first.program.kill()
        reader.join(second, conversation)
        eventually(lambda: bool(of("second", "turn")))
        (attempt,) = of("first", f"chat {FAILING}")
        (takeover,) = of("second", "takeover")
        (turn,) = of("second", "turn")
        (answered,) = of("second", f"chat {LATE}")
    assert reader.ending
    assert reader.ending[0] == "complete"
    assert {span.trace for span in (attempt, takeover, turn, answered)} == {attempt.trace}
    assert [trace for trace, _ in takeover.links] == [attempt.trace]
    assert takeover.links[0][1] == takeover.parent
    assert (turn.parent, answered.parent) == (takeover.id, turn.id)
    assert attempt.attributes["error.type"] == "upstream_overloaded"
    assert turn.attributes["chatfleet.run.id"] == takeover.attributes["chatfleet.run.id"] == reader.ids[0][:36]
    assert turn.attributes["gen_ai.conversation.id"] in conversation


def test_a_collector_that_comes_late_gets_what_waited_and_the_log_has_two_lines_of_it(tmp_path: Path) -> None:
    port = free_port()
    with api_process(tmp_path, config(f"http://127.0.0.1:{port}")) as pod:
        for number in range(5):
            chat(pod, str(number))
        eventually(lambda: "Failed to export traces" in pod.log.read_text())
        chat(pod, "5")
        with collector(tmp_path, port) as late:
            eventually(lambda: len(late.named("turn")) == 6)
            eventually(lambda: metric(pod, "chatfleet_spans_exported_total") == 18)
            assert exemplars(pod) <= {span.trace for span in late.named("turn")}
        assert metric(pod, "chatfleet_spans_dropped_total") == 0
    about = [line["message"] for line in lines(pod) if line["logger"] == "chatfleet_api.telemetry.export"]
    assert [message.split()[0] for message in about] == ["Failed", "Exporting"]


def test_the_guard_decides_about_the_collector_too(tmp_path: Path, received: Collector) -> None:
    alone = config(received.endpoint).model_copy(update={"egress": RuntimeConfig.model_fields["egress"].default})
    with api_process(tmp_path, alone) as pod:
        chat(pod, "hi")
        eventually(lambda: "egress.allow" in pod.log.read_text())
        assert metric(pod, "chatfleet_spans_exported_total") == 0


def test_tracing_follows_the_configuration_and_the_last_spans_are_exported(tmp_path: Path, received: Collector) -> None:
    traced = config(received.endpoint)
    silent = traced.model_copy(update={"observability": Observability(log_level=LogLevel.DEBUG), "deployment": "later"})
    later = traced.model_copy(update={"deployment": "later"})

    def turns() -> int:
        return sum(span.resource["service.name"] == "later" for span in received.named("turn"))

    with api_process(tmp_path, silent) as pod:
        chat(pod, "not traced")
        (tmp_path / "runtime.json").write_text(later.render())
        eventually(lambda: bool(chat(pod, "hi")) and any("trace_id" in line for line in lines(pod)))
        pod.program.terminate()
        eventually(pod.program.has_ended)
    logged = {
        line["trace_id"] for line in lines(pod) if line["logger"] == "chatfleet_api.access" and "trace_id" in line
    }
    assert turns() == len(logged)


CANARIES = {
    "a key of a caller": "sk-canary-caller-0001-aaaaaaaaaaaaaaaaaaaaaaaa",
    "a key of a provider": "sk-canary-upstream-0002",
    "a prompt": "canary-prompt-0003",
    "an answer": "canary-answer-0004",
    "an e-mail address": "canary.0005@example.com",
    "a wrong key": "sk-canary-wrong-0007",
    "a query": "canary-query-0008",
}


def test_keys_prompts_answers_and_addresses_are_in_no_output_of_a_pod(
    tmp_path: Path, redis_url: str, received: Collector
) -> None:
    keys, upstream, redis = tmp_path / "keys", tmp_path / "upstream", tmp_path / "redis"
    keys.mkdir()
    (keys / "caller").write_text(
        json.dumps({"key": CANARIES["a key of a caller"], "user": CANARIES["an e-mail address"]})
    )
    upstream.write_text(CANARIES["a key of a provider"])
    redis.write_text(redis_url)
    away = RuntimeProvider(
        name="away",
        type=ProviderType.OPENAI_COMPATIBLE,
        base_url=f"http://127.0.0.1:{free_port()}/v1",
        api_key_file=str(upstream),
        retries=Retries(max=0),
    )
    served = config(
        received.endpoint,
        redis_url_file=str(redis),
        access=RuntimeAccess(anonymous=False, api_keys=(RuntimeKeys(tenant="shop", folder=str(keys)),)),
    )
    served = served.model_copy(
        update={
            "deployment": "canaries",
            "providers": (*served.providers, away),
            "models": (*served.models, Model(name="away", provider="away", model="m")),
        }
    )
    key = {"Authorization": f"Bearer {CANARIES['a key of a caller']}"}
    planted = " ".join((CANARIES["a prompt"], CANARIES["an answer"], CANARIES["an e-mail address"]))
    with new_api_process(tmp_path, served) as pod:
        said = {"messages": [{"role": "user", "content": planted}]}
        for model in ("echo", "away"):
            answer = fetch(f"{pod.url}/v1/chat/completions", {"model": model, **said}, **key)
            assert (answer.status == 200) == (model != "away"), answer.body
        assert planted in fetch(f"{pod.url}/v1/responses", {"model": "echo", "input": planted}, **key).body.decode()
        wrong = {"Authorization": f"Bearer {CANARIES['a wrong key']}"}
        assert fetch(f"{pod.url}/v1/models", **wrong).status == 401
        broken = {"model": "echo", "messages": planted}
        assert fetch(f"{pod.url}/v1/chat/completions", broken, **key).status == 400
        assert fetch(f"{pod.url}/v1/models?q={CANARIES['a query']}", **key).status == 200
        seen = [pod.health(path).body.decode() for path in ("/metrics", "/health", "/health/detailed", "/ready")]
        command = Path(f"/proc/{pod.program.pid}/cmdline").read_text()
        pod.program.terminate()
        eventually(pod.program.has_ended)
    spans = [span for span in received.spans() if span.resource["service.name"] == "canaries"]
    assert len([span for span in spans if span.name == "turn"]) == 3
    outputs = {"log": pod.log.read_text(), "spans": received.text, "served": "".join(seen), "command": command}
    assert not [(what, where) for what, canary in CANARIES.items() for where, text in outputs.items() if canary in text]
