"""Equal deterministic requests get one answer of their upstream: on any pod, in every dialect, within their tenant.

The pods are processes, Redis is real, and the scripted upstream counts the requests of each question.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import anthropic
import openai
import pytest

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.cache import Cache
from chatfleet_contract.spec.pricing import Pricing
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.clients.events import EventParser
from harness.net import LOOPBACK, free_port, is_open
from harness.pods.administered import ADMINISTRATOR, AS_OPS, OPS, WEB, secrets
from harness.pods.api_process import Answer, ApiProcess, api_process, fetch
from harness.polling import eventually
from harness.redis.topologies import Topologies
from harness.upstream.catalogue import config_of, provider_of
from harness.upstream.process import Upstream, scripted_upstream
from harness.upstream.script import Fault, Script
from harness.upstream.wires import AnthropicWire, OpenAIWire, Wire

NARROW: Final = "sk-narrow-0123456789abcdef0123456789abcdef"
"""An API key of the tenant shop, for the model `spare` alone."""
PAYER: Final = "sk-payer-0123456789abcdef0123456789abcdef"
"""The API key of another tenant."""
SAMPLED: Final = {"anthropic-version": "2023-06-01"}
"""The version of Anthropic's API that has a temperature."""
COUNTER: Final = count()
GUIDE: Final = Path(__file__).parents[4] / "docs/guide/response-cache.md"


class Fleet(NamedTuple):
    """Two pods with one Redis and one upstream, and the admin port of the second."""

    one: ApiProcess
    other: ApiProcess
    upstream: Upstream
    admin: str

    def asked(self, script: Script) -> int:
        """Return how often the upstream got a question."""
        return len(fetch(f"{self.upstream.url}/ledger", [script.key]).json[script.key])

    def ask(
        self,
        script: Script,
        fields: Mapping[str, object] = {},
        *,
        pod: ApiProcess | None = None,
        key: str = WEB,
        control: str = "",
    ) -> Answer:
        headers = {"authorization": f"Bearer {key}"} | ({"cache-control": control} if control else {})
        return fetch(f"{(pod or self.one).url}/v1/chat/completions", body(script, fields), **headers)

    def stats(self) -> Any:  # noqa: ANN401  # JSON
        return fetch(f"{self.admin}/admin/cache", **AS_OPS).json

    def keep(self, script: Script, fields: Mapping[str, object] = {}, *, key: str = WEB) -> Answer:
        """Ask, and return the answer once it is in the cache."""
        before = self.stats()["entries"]
        answer = self.ask(script, fields, key=key)
        assert mark(answer) == "miss"
        eventually(lambda: self.stats()["entries"] == before + 1)
        return answer


def body(script: Script, fields: Mapping[str, object]) -> dict[str, object]:
    question = {"role": "user", "content": script.question}
    return {"model": "default", "messages": [question], "temperature": 0, **fields}


def mark(answer: Answer) -> str | None:
    return answer.headers["x-chatfleet-cache"]


def new(tokens: int = 3, *faults: Fault) -> Script:
    """Return a question that no other test has."""
    return Script(f"question-{next(COUNTER)}", tokens, faults=faults)


def text_of(answer: Answer) -> str:
    return str(answer.json["choices"][0]["message"]["content"])


def config(folder: Path, upstream: str, redis: str) -> RuntimeConfig:
    (folder / "url").write_text(redis)
    keys = secrets(folder)
    (folder / "chat-keys" / "narrow").write_text(json.dumps({"key": NARROW, "models": ["spare"]}))
    (folder / "chat-keys" / "payer").write_text(json.dumps({"key": PAYER, "tenant": "payer"}))
    price = Pricing(input_per_million_tokens="1", output_per_million_tokens="2")
    models = [
        Model(name="default", provider="up", model="gpt-x", pricing=price, fallbacks=["fallback"]),
        Model(name="spare", provider="up", model="gpt-y"),
        Model(name="fallback", provider="claude", model="claude-x"),
        Model(name="claude", provider="claude", model="claude-x"),
        Model(name="echo", provider="script", model="echo"),
    ]
    wires: dict[str, Wire] = {"up": OpenAIWire(), "claude": AnthropicWire()}
    script = RuntimeProvider(name="script", type=ProviderType.SCRIPTED)
    upstreams = [provider_of(wire, upstream, name=name) for name, wire in wires.items()]
    found = config_of(*upstreams, script, models=models)
    access = {"anonymous": False, "api_keys": keys, "admin": (ADMINISTRATOR,)}
    changed = {
        "deployment": "response-cache",
        "redis_url_file": str(folder / "url"),
        "cache": Cache(enabled=True),
        "access": found.access.model_copy(update=access),
    }
    return found.model_copy(update=changed)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, topologies: Topologies) -> Iterator[Fleet]:
    folder, admin = tmp_path_factory.mktemp("fleet"), free_port()
    for name in ("one", "other"):
        (folder / name).mkdir()
    with scripted_upstream(folder) as upstream:
        settings = config(folder, upstream.url, topologies("single"))
        with (
            api_process(folder / "one", settings, CHATFLEET_ADMIN_PORT=str(free_port())) as one,
            api_process(folder / "other", settings, CHATFLEET_ADMIN_PORT=str(admin)) as other,
        ):
            found = Fleet(one, other, upstream, f"http://{LOOPBACK}:{admin}")
            eventually(lambda: is_open(admin) and fetch(f"{found.admin}/admin/cache", **AS_OPS).status == 200)
            yield found


def test_an_equal_request_is_answered_on_another_pod_without_its_upstream(fleet: Fleet) -> None:
    script = new()
    first = fleet.keep(script)
    again = fleet.ask(script, pod=fleet.other)
    assert (text_of(again), mark(again), fleet.asked(script)) == (script.answer, "hit", 1)
    assert 0 <= int(again.headers["age"]) < 300
    assert first.headers["age"] is None
    assert again.json["id"] != first.json["id"]
    same = ("choices", "usage", "model")
    assert [again.json[name] for name in same] == [first.json[name] for name in same]


def test_a_stream_and_a_whole_answer_are_one(fleet: Fleet) -> None:
    script = new()
    first = fleet.keep(script, {"stream": True})
    streamed = fleet.ask(script, {"stream": True, "stream_options": {"include_usage": True}}, pod=fleet.other)
    whole = fleet.ask(script)
    assert (mark(first), mark(streamed), mark(whole), fleet.asked(script)) == ("miss", "hit", "hit", 1)
    events = [event.data for event in EventParser().feed(streamed.body)]
    chunks = [json.loads(data) for data in events[:-1]]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert (text, text_of(whole), events[-1]) == (script.answer, script.answer, "[DONE]")
    assert chunks[-1]["usage"] == whole.json["usage"]


def test_only_what_declares_one_answer_is_cached(fleet: Fleet) -> None:
    script = new()
    for fields in (
        {"temperature": 1},
        {"temperature": None},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ):
        asked = fleet.asked(script)
        assert {mark(fleet.ask(script, fields)) for _ in range(2)} == {None}
        assert fleet.asked(script) == asked + 2
    fleet.keep(script, {"temperature": 1, "seed": 7})
    assert mark(fleet.ask(script, {"temperature": 1, "seed": 7})) == "hit"


def test_a_client_can_have_a_new_answer_or_leave_no_trace(fleet: Fleet) -> None:
    script = new()
    assert mark(fleet.ask(script, control="no-store")) is None
    fleet.keep(script)
    assert mark(fleet.ask(script, control="no-store")) is None
    assert mark(fleet.ask(script, control="max-age=0, No-Cache")) == "miss"
    assert mark(fleet.ask(script, control="max-age=0")) == "miss"
    assert mark(fleet.ask(script, control="max-age=60")) == "hit"
    assert fleet.asked(script) == 5


def test_an_answer_is_its_tenants_and_that_of_a_model_its_callers_may_use(fleet: Fleet) -> None:
    script = new()
    fleet.keep(script)
    assert mark(fleet.ask(script, key=OPS)) == "miss"
    refused = fleet.ask(script, key=NARROW)
    assert (refused.status, mark(refused)) == (404, None)
    assert mark(fleet.ask(script, {"model": "spare"}, key=NARROW)) == "miss"
    assert fleet.ask(script, key="sk-unknown").status == 401
    assert mark(fleet.ask(script)) == "hit"
    assert fleet.asked(script) == 3


@pytest.mark.parametrize("kind", ["cut", "end", "error"])
def test_an_answer_that_was_not_whole_is_never_cached(fleet: Fleet, kind: Any) -> None:  # noqa: ANN401  # a literal
    script = new(5, Fault(kind, after=2))
    failed = fleet.ask(script, {"model": "spare", "stream": True})
    assert b"[DONE]" not in failed.body
    assert mark(failed) == "miss"
    whole = fleet.keep(script, {"model": "spare"})
    assert (text_of(whole), fleet.asked(script)) == (script.answer, 2)


def test_the_answer_of_a_fallback_is_not_cached(fleet: Fleet) -> None:
    script = new(3, Fault("status", status=503))
    assert text_of(fleet.ask(script)) == script.answer
    assert text_of(fleet.keep(script)) == script.answer
    assert fleet.asked(script) == 3


def test_the_official_sdk_of_openai_gets_equal_answers(fleet: Fleet) -> None:
    script = new()
    with openai.OpenAI(base_url=f"{fleet.one.url}/v1", api_key=WEB, max_retries=0) as client:

        def chat() -> tuple[str | None, str | None, object]:
            raw = client.chat.completions.with_raw_response.create(
                model="default", messages=[{"role": "user", "content": script.question}], temperature=0
            )
            completion = raw.parse()
            return raw.headers.get("x-chatfleet-cache"), completion.choices[0].message.content, completion.usage

        def respond(*, store: bool) -> tuple[str | None, str, str, object]:
            raw = client.responses.with_raw_response.create(
                model="default",
                input=[{"role": "user", "content": script.question}],
                temperature=0,
                store=store,
            )
            response = raw.parse()
            return raw.headers.get("x-chatfleet-cache"), response.output_text, response.id, response.usage

        first = chat()
        eventually(lambda: chat()[0] == "hit")
        assert first == ("miss", script.answer, chat()[2])
        begun = respond(store=True)
        eventually(lambda: respond(store=True)[0] == "hit")
        again, unstored = respond(store=True), respond(store=False)
        assert (begun[0], again[0], unstored[0]) == ("miss", "hit", "hit")
        assert {each[1] for each in (begun, again, unstored)} == {script.answer}
        assert begun[3] == again[3] == unstored[3]
        stored = client.responses.retrieve(again[2])
        assert (stored.output_text, again[2] != begun[2]) == (script.answer, True)


def test_the_official_sdk_of_anthropic_gets_equal_answers(fleet: Fleet) -> None:
    script = new()
    with anthropic.Anthropic(base_url=fleet.other.url, api_key=WEB, max_retries=0) as client:

        def ask() -> tuple[str | None, anthropic.types.Message]:
            raw = client.messages.with_raw_response.create(
                model="claude",
                max_tokens=100,
                messages=[{"role": "user", "content": script.question}],
                extra_headers=SAMPLED,
                extra_body={"temperature": 0},
            )
            return raw.headers.get("x-chatfleet-cache"), raw.parse()

        (result, first), asked = ask(), fleet.asked(script)
        eventually(lambda: ask()[0] == "hit")
        asked = fleet.asked(script)
        again = ask()[1]
        with client.messages.stream(
            model="claude",
            max_tokens=100,
            messages=[{"role": "user", "content": script.question}],
            extra_headers=SAMPLED,
            extra_body={"temperature": 0},
        ) as stream:
            streamed = stream.get_final_message()
            assert stream.response.headers["x-chatfleet-cache"] == "hit"
    assert (result, fleet.asked(script)) == ("miss", asked)
    texts = [block.text for each in (first, again, streamed) for block in each.content if block.type == "text"]
    assert texts == 3 * [script.answer]
    assert first.usage == again.usage == streamed.usage
    assert len({first.id, again.id, streamed.id}) == 3


def test_a_turn_of_a_conversation_is_stored_as_any_other_and_marked(fleet: Fleet) -> None:
    script, caller = new(), {"authorization": f"Bearer {WEB}"}

    def turn() -> tuple[Answer, Any]:
        made = fetch(f"{fleet.one.url}/api/v1/conversations", {}, **caller).json["id"]
        sent = {"content": script.question, "stream": True, "model": "default", "temperature": 0}
        path = f"{fleet.one.url}/api/v1/conversations/{made}/messages"
        return fetch(path, sent, **caller), fetch(path, **caller).json["messages"]

    first, _ = turn()
    assert mark(first) == "miss"
    asked = fleet.asked(script)
    eventually(lambda: mark(turn()[0]) == "hit")
    again, messages = turn()
    complete = json.loads([event.data for event in EventParser().feed(again.body)][-1])
    assert (complete["type"], complete["cached"], complete["cost_usd"]) == ("complete", True, "0")
    assert (messages[-1]["content"], messages[-1]["cost_usd"]) == (script.answer, "0")
    assert (asked, fleet.asked(script) >= 1) == (1, True)


def test_what_a_cached_answer_has_saved_is_counted_apart(fleet: Fleet) -> None:
    script = new(10)

    def used() -> Any:  # noqa: ANN401  # JSON
        found = fetch(f"{fleet.one.url}/api/v1/usage", authorization=f"Bearer {PAYER}").json["data"]
        return found[0] if found else {"requests": 0}

    first = fleet.keep(script, key=PAYER)
    for _ in range(2):
        assert mark(fleet.ask(script, key=PAYER)) == "hit"
    eventually(lambda: used()["requests"] == 3)
    sums, once = used(), first.json["usage"]
    assert (sums["input_tokens"], sums["output_tokens"]) == (once["prompt_tokens"], once["completion_tokens"])
    assert (sums["cached_requests"], sums["saved_output_tokens"]) == (2, 2 * once["completion_tokens"])
    assert float(sums["saved_cost_usd"]) == pytest.approx(2 * float(sums["cost_usd"]))


@pytest.mark.feature(15)
def test_administrators_see_and_clear_it(fleet: Fleet) -> None:
    scripts = [new() for _ in range(2)]
    for script in scripts:
        fleet.keep(script)
    fleet.keep(scripts[0], key=OPS)
    before = fleet.stats()
    assert before.keys() == {"enabled", "ttl_seconds", "max_bytes", "entries", "bytes", "hits", "misses"}
    assert mark(fleet.ask(scripts[0])) == "hit"
    assert (fleet.stats()["hits"], fleet.stats()["misses"]) == (before["hits"] + 1, before["misses"])

    def clear(query: str) -> Any:  # noqa: ANN401  # JSON
        path = f"{fleet.admin}/admin/cache{query}"
        request = urllib.request.Request(path, headers=AS_OPS, method="DELETE")  # noqa: S310  # http
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310  # http
            return json.load(response)

    assert clear("?tenant=ops&model=spare")["deleted"] == 0
    cleared = clear("?tenant=ops")
    assert (cleared["tenant"], cleared["deleted"] >= 1) == ("ops", True)
    assert (mark(fleet.ask(scripts[0], key=OPS)), mark(fleet.ask(scripts[0]))) == ("miss", "hit")
    assert clear("")["deleted"] >= 2
    assert {mark(fleet.ask(script)) for script in scripts} == {"miss"}


def test_the_cache_is_switched_and_shortened_in_running_pods(fleet: Fleet) -> None:
    script = new()
    fleet.keep(script)
    file = fleet.one.log.parent / "runtime.json"
    document = json.loads(file.read_text())
    try:
        file.write_text(json.dumps(document | {"cache": {"enabled": False}}))
        eventually(lambda: mark(fleet.ask(script)) is None)
        file.write_text(json.dumps(document))
        eventually(lambda: mark(fleet.ask(script)) == "hit")
    finally:
        file.write_text(json.dumps(document))


def test_requests_are_answered_while_redis_is_unreachable(tmp_path: Path, fleet: Fleet) -> None:
    settings = config(tmp_path, fleet.upstream.url, f"redis://{LOOPBACK}:{free_port()}/0")
    script = new()
    with api_process(tmp_path, settings) as alone:
        answers = [fleet.ask(script, pod=alone) for _ in range(2)]
        assert [(text_of(each), mark(each)) for each in answers] == 2 * [(script.answer, "miss")]
        failures = "chatfleet_response_cache_failures_total 2.0"
        assert failures in alone.health("/metrics").body.decode()


def test_the_example_of_the_guide_runs_and_has_a_hit(fleet: Fleet) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    program = example.replace("http://support.shop.svc", fleet.one.url).replace('model="default"', 'model="echo"')

    def lines() -> list[str]:
        done = subprocess.run(
            (sys.executable, "-c", program), capture_output=True, text=True, check=True, env=os.environ | {"KEY": WEB}
        )
        return done.stdout.splitlines()

    before = fleet.stats()["entries"]
    first = lines()
    assert first[0] == "miss Positive or negative? The parcel came late."
    eventually(lambda: fleet.stats()["entries"] > before)
    assert lines() == 2 * ["hit Positive or negative? The parcel came late."]
