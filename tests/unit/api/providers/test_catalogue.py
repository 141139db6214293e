"""A runtime configuration becomes a catalogue, or is refused with what does not fit together."""

import asyncio
from collections.abc import Collection, Sequence

import pytest
from msgspec import Raw
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import RESPONSES, Affinity, ChatRequest, Message, Sent, Untranslated
from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.vendors.scripted.provider import Scripted
from chatfleet_contract.report import Dependency, State
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.upstream.catalogue import Outcome, RecordingMeter, ask, config_of, registry_of

SCRIPTED = RuntimeProvider(name="s", type=ProviderType.SCRIPTED, retries=Retries(max=0))
UNUSED = ConnectionPool()
"""No test here opens a connection."""


def catalogue_of(config: RuntimeConfig, meter: RecordingMeter | None = None) -> Catalogue:
    return registry_of(meter or RecordingMeter(), UNUSED).catalogue(config)


def model(name: str, script: str = "count-3", *, fallbacks: Sequence[str] = (), provider: str = "s") -> Model:
    return Model(name=name, provider=provider, model=script, fallbacks=list(fallbacks))


async def answer(catalogue: Catalogue, name: str) -> Outcome:
    return await ask(catalogue.provider(name), ChatRequest(name, (Message("user", "Hi."),)))


def test_models_are_listed_in_the_order_of_the_configuration() -> None:
    assert catalogue_of(config_of(SCRIPTED, models=[model("b"), model("a")])).models() == ("b", "a")


@pytest.mark.parametrize(
    ("kind", "name", "day"),
    [
        (ProviderType.OPENAI, "gpt-5-mini", "2026-12-11"),
        (ProviderType.OPENAI, "gpt-6-luna", None),
        (ProviderType.ANTHROPIC, "claude-sonnet-4-5", "2026-11-30"),
        (ProviderType.OPENAI_COMPATIBLE, "gpt-5-mini", None),
    ],
)
def test_the_day_on_which_a_vendor_shuts_a_model_down_is_known_by_its_own_name(
    kind: ProviderType, name: str, day: str | None
) -> None:
    provider = RuntimeProvider.model_validate({"name": "s", "type": kind, "baseURL": "https://up.example/v1"})
    catalogue = catalogue_of(config_of(provider, models=[model("mine", name)]))
    assert catalogue.shutdown_date("mine") == day
    with pytest.raises(ChatError, match="model_not_found"):
        catalogue.shutdown_date("other")


def test_an_unknown_model_is_refused_by_field() -> None:
    with pytest.raises(ChatError) as caught:
        catalogue_of(config_of(SCRIPTED, models=[model("a")])).provider("b")
    assert (caught.value.code, caught.value.param) == (Code.MODEL_NOT_FOUND, "model")


async def test_a_model_goes_on_with_a_cut_answer_as_its_configuration_says() -> None:
    able = model("a").model_copy(update={"continuation": "prefill"})
    catalogue = catalogue_of(config_of(SCRIPTED, models=[able, model("b")]))
    assert (catalogue.continuation("a"), catalogue.continuation("b")) == ("prefill", "none")
    begun = ChatRequest("a", (Message("user", "Hi."), Message("assistant", "1 ")), continues=True)
    assert (await ask(catalogue.provider("a"), begun)).text == "2 3"
    with pytest.raises(ChatError, match="model_not_found"):
        catalogue.continuation("c")


def test_what_an_upstream_does_not_have_is_known_without_a_request() -> None:
    """The upstream is the one to which the request would go: that of the newest answer of its conversation."""
    same = RuntimeProvider.model_validate(
        {"name": "r", "type": "openAICompatible", "baseURL": "https://up.example/v1", "api": "responses"}
    )
    models = [model("a", "gpt-x", provider="r", fallbacks=["b"]), model("b", "echo")]
    catalogue = catalogue_of(config_of(same, SCRIPTED, models=models))
    sent = Sent(RESPONSES, Raw(b'{"input": "Hi"}'), 1, (Untranslated("tools[0]", "Unsupported."),))
    request = ChatRequest("a", (Message("user", "Hi."),), sent=sent)
    catalogue.require_supported(request)
    catalogue.require_supported(replace(request, affinity=Affinity("c", "r", "gpt-x")))
    for refused in (replace(request, affinity=Affinity("c", "s", "echo")), replace(request, model="b")):
        with pytest.raises(ChatError) as caught:
            catalogue.require_supported(refused)
        assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "tools[0]")


async def test_attempts_are_measured_by_the_names_of_the_catalogue() -> None:
    meter = RecordingMeter()
    catalogue = catalogue_of(
        config_of(SCRIPTED, models=[model("a", "count-0:upstream_error", fallbacks=["b"]), model("b")]), meter
    )
    assert (await answer(catalogue, "a")).text == "1 2 3"
    assert meter.attempts == [("s", "a", Code.UPSTREAM_ERROR), ("s", "b", None)]


async def test_fallbacks_are_tried_in_order_and_not_those_of_others() -> None:
    meter = RecordingMeter()
    failing = "count-0:upstream_error"
    models = [
        model("a", failing, fallbacks=["b", "d"]),
        model("b", failing, fallbacks=["c"]),
        model("c"),
        model("d", failing),
    ]
    assert (await answer(catalogue_of(config_of(SCRIPTED, models=models), meter), "a")).code is Code.UPSTREAM_ERROR
    assert [name for _, name, _ in meter.attempts] == ["a", "b", "d"]


@pytest.mark.looptime
async def test_models_of_one_provider_share_its_limit_also_after_a_new_configuration() -> None:
    registry = registry_of(RecordingMeter(), UNUSED)
    narrow = SCRIPTED.model_copy(update={"max_concurrent_requests": 1})
    before = registry.catalogue(config_of(narrow, models=[model("a", "count-3@1")]))
    after = registry.catalogue(config_of(narrow, models=[model("a", "count-3@1"), model("b")]))
    ended: list[str] = []

    async def note(catalogue: Catalogue, name: str) -> None:
        assert (await answer(catalogue, name)).text == "1 2 3"
        ended.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(note(before, "a"))
        await asyncio.sleep(0.1)
        group.create_task(note(after, "b"))
    assert ended == ["a", "b"]  # though the answer of b takes no time


async def test_every_provider_is_checked_by_its_name() -> None:
    other = SCRIPTED.model_copy(update={"name": "t"})
    up = Dependency(state=State.UP)
    assert await catalogue_of(config_of(SCRIPTED, other, models=[model("a")])).check() == {"s": up, "t": up}


async def test_a_check_that_fails_unexpectedly_does_not_hide_the_others_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([OverflowError("port"), None, OverflowError("port"), None])

    async def check(_: Scripted, __: Collection[str]) -> None:
        if (failure := next(failures)) is not None:
            raise failure

    monkeypatch.setattr(Scripted, "check", check)
    other = RuntimeProvider(name="t", type=ProviderType.SCRIPTED)
    catalogue = catalogue_of(config_of(SCRIPTED, other, models=[model("a")]))
    down = Dependency(state=State.DOWN, message="the check failed: OverflowError")
    for _ in range(2):
        assert await catalogue.check() == {"s": down, "t": Dependency(state=State.UP)}
    assert ["provider s" in record.message for record in caplog.records if record.exc_info] == [True]


def test_the_subject_of_a_check_is_equal_as_long_as_settings_and_models_of_its_provider_are() -> None:
    registry = registry_of(RecordingMeter(), UNUSED)
    other = RuntimeProvider(name="t", type=ProviderType.SCRIPTED)
    slower = other.model_copy(update={"retries": Retries(max=1)})
    models = [model("a"), model("b", provider="t")]

    def changed(config: RuntimeConfig) -> list[str]:
        now = registry.catalogue(config).check_subjects()
        return [name for name in now if now[name] != before[name]]

    before = registry.catalogue(config_of(SCRIPTED, other, models=models)).check_subjects()
    dearer = models[0].model_copy(update={"fallbacks": ["b"]})
    assert changed(config_of(SCRIPTED, other, models=[dearer, models[1]])) == []
    assert changed(config_of(SCRIPTED, other, models=[model("a", "count-4"), models[1]])) == ["s"]
    assert changed(config_of(SCRIPTED, slower, models=models)) == ["t"]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (config_of(SCRIPTED, models=[model("a", provider="x")]), "model a: provider x"),
        (config_of(SCRIPTED, models=[model("a", fallbacks=["b"])]), r"model a: fallbacks \['b'\]"),
        (config_of(RuntimeProvider(name="p", type=ProviderType.OPENAI_COMPATIBLE)), "provider p: .* needs baseURL"),
    ],
)
def test_what_does_not_fit_together_is_told(config: RuntimeConfig, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        catalogue_of(config)
