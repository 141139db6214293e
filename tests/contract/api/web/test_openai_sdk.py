"""The vendor's own SDK, unmodified, against the API as a process, with scripted models and somebody else's upstream."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from llmock.pytest_plugin import LLMock
from openai.types.chat import ChatCompletionChunk, ChatCompletionUserMessageParam

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Compatibility, Model, Retries
from harness.net import LOOPBACK_EGRESS
from harness.pods.api_process import ApiProcess, api_process, scripted

VENDORS = ("o", "a", "o-whole", "a-whole")
"""Models at two vendors, streamed by them and not."""

HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Say hello twice"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("api"), scripted()) as running:
        yield running


@pytest.fixture
def client(api: ApiProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.mark.feature(9)
def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=[HI], metadata={"team": "a"})
    assert answer.choices[0].message.content == HI["content"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6
    assert answer.metadata == {"team": "a"}
    assert answer.id.startswith("chatcmpl-")
    assert answer._request_id  # noqa: SLF001  # the SDK's documented way to the request's id


def test_an_answer_goes_back_into_the_next_question_as_it_is(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="echo", messages=[HI]).choices[0].message
    again = client.chat.completions.create(model="count", messages=[HI, said.model_dump(), HI])  # type: ignore[list-item]
    assert again.choices[0].message.content == "1 2 3 4 5"


@pytest.mark.feature(9, 41)
def test_a_stream_with_its_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="count", messages=[HI], stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, finish, usage = list(stream)
    assert text_of(chunks) == "1 2 3 4 5"
    assert finish.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 5
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_sdks_own_accumulator_understands_the_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="echo", messages=[HI]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == HI["content"]


async def test_the_asynchronous_client(api: ApiProcess) -> None:
    async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as client:
        whole, stream = await asyncio.gather(
            client.chat.completions.create(model="echo", messages=[HI]),
            client.chat.completions.create(model="echo", messages=[HI], stream=True),
        )
        assert whole.choices[0].message.content == HI["content"]
        assert text_of([chunk async for chunk in stream]) == HI["content"]
        assert (await anext(aiter(client.models.list()))).id == "echo"


@pytest.mark.feature(9)
def test_models(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= {"echo", "count"}
    assert client.models.retrieve("echo").owned_by == "chatfleet"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nothing")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "extra", "error", "code"),
    [
        ("nothing", {}, openai.NotFoundError, "model_not_found"),
        ("echo", {"temperature": 9}, openai.BadRequestError, None),
        ("echo", {"colour": "red"}, openai.BadRequestError, None),
        ("limited", {}, openai.RateLimitError, "rate_limit_exceeded"),
        ("overloaded", {}, openai.InternalServerError, "upstream_overloaded"),
        ("key", {}, openai.InternalServerError, "upstream_authentication"),
    ],
)
def test_a_failure_before_the_first_token_is_the_sdks_own_exception(
    client: openai.OpenAI,
    model: str,
    extra: dict[str, object],
    error: type[openai.APIStatusError],
    code: str | None,
    *,
    stream: bool,
) -> None:
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=model, messages=[HI], stream=stream, extra_body=extra)
    assert caught.value.code == code
    assert caught.value.request_id


def test_a_cut_answer_raises_with_and_without_streaming(client: openai.OpenAI) -> None:
    seen: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError) as caught:
        seen.extend(client.chat.completions.create(model="cut", messages=[HI], stream=True))
    assert caught.value.code == "upstream_truncated"
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="cut", messages=[HI])


def test_the_sdk_tries_again_only_what_is_worth_it(api: ApiProcess) -> None:
    with openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=1) as client:
        for model, times in (("key", 1), ("overloaded", 2)):
            before = answered(api)
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model=model, messages=[HI])
            assert answered(api) - before == times


def answered(api: ApiProcess) -> float:
    """Return how many completions the API has answered by a status of 5xx."""
    lines = api.health("/metrics").body.decode().splitlines()
    wanted = 'chatfleet_requests_total{route="/v1/chat/completions",status="5'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


@pytest.fixture
def vendors(llmock: LLMock, tmp_path: Path) -> Iterator[openai.OpenAI]:
    """The SDK on a pod with one model at each vendor, played by a server that others wrote."""
    key = tmp_path / "key"
    key.write_text("sk-of-a-test")
    common = {"api_key_file": str(key), "retries": Retries(max=0)}
    providers = (
        RuntimeProvider(name="o", type=ProviderType.OPENAI, base_url=f"{llmock.url}/v1", **common),  # type: ignore[arg-type]
        RuntimeProvider(name="a", type=ProviderType.ANTHROPIC, base_url=f"{llmock.url}/anthropic/v1", **common),  # type: ignore[arg-type]
    )
    unstreamed = {"compatibility": Compatibility(stream=False)}
    whole = (provider.model_copy(update=unstreamed | {"name": f"{provider.name}-whole"}) for provider in providers)
    # Each of them is checked once by its name, so that one name for all would look like a retry.
    models = tuple(Model(name=name, provider=name, model=f"model-of-{name}") for name in VENDORS)
    config = RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(*providers, *whole),
        models=models,
        egress=LOOPBACK_EGRESS,
    )
    with (
        api_process(tmp_path, config) as running,
        openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


def test_both_vendors_answer_alike(vendors: openai.OpenAI, llmock: LLMock) -> None:
    for model in VENDORS:
        llmock.reply("Grüße aus Ulm.", times=None)
        whole = vendors.chat.completions.create(model=model, messages=[HI])
        with vendors.chat.completions.create(model=model, messages=[HI], stream=True) as stream:
            streamed = text_of(list(stream))
        assert whole.choices[0].message.content == streamed == "Grüße aus Ulm."
        assert whole.model == model
        assert whole.usage is not None
        assert whole.usage.completion_tokens > 0
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("model", ["o", "a"])
def test_a_stream_that_ends_early_is_never_whole(vendors: openai.OpenAI, llmock: LLMock, model: str) -> None:
    llmock.truncate(after_chunks=3)
    with pytest.raises(openai.APIError) as caught:
        list(vendors.chat.completions.create(model=model, messages=[HI], stream=True))
    assert caught.value.code == "upstream_truncated"
