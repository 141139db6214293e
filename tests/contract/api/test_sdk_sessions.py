"""Short sessions of the vendors' own SDKs, unmodified, whose turns go to two pods: tools, thinking, resumed streams."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import MessageParam, ToolParam
from openai.types.responses import FunctionToolParam
from openai.types.responses.response_input_param import FunctionCallOutput

from chatfleet_contract.runtime import RuntimeConfig
from chatfleet_contract.spec.providers import Model
from harness.pods.api_process import ApiProcess, api_process, scripted
from harness.redis.server import redis_server

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ADD: FunctionToolParam = {"type": "function", "name": "add", "parameters": SCHEMA, "strict": True}
WORDS = " ".join(str(number) for number in range(1, 31))
SEEN = 8
"""Events of a stream that its first client reads."""


@pytest.fixture(scope="module", params=[True])
def pods(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[list[ApiProcess]]:
    """Two pods; on one Redis, or, for control, each with everything in its own memory."""
    folder: Path = tmp_path_factory.mktemp("pods")
    with redis_server(folder) as url, ExitStack() as running:
        (folder / "url").write_text(url)
        given = scripted("slow", "tools")
        models = (*given.models, Model(name="assistant", provider="scripted", model="assistant"))
        changed = {"models": models, "redis_url_file": str(folder / "url") if request.param else None}
        config = RuntimeConfig.model_validate(given.model_dump() | changed)
        yield [running.enter_context(api_process(folder, config)) for _ in range(2)]


def turns(*clients: openai.OpenAI) -> Iterator[str]:
    """Take the turns of a session, each by the next client, and yield what each came to."""
    here, there = clients
    with here.responses.stream(
        model="assistant", input='add {"a": 1}', tools=[ADD], reasoning={"effort": "low"}
    ) as stream:
        first = stream.get_final_response()
    yield " ".join(item.type for item in first.output)
    call = first.output[-1]
    assert call.type == "function_call"
    result: FunctionCallOutput = {"type": "function_call_output", "call_id": call.call_id, "output": "is 42"}
    with there.responses.stream(
        model="assistant", input=[result], tools=[ADD], previous_response_id=first.id
    ) as stream:
        second = stream.get_final_response()
    yield second.output_text
    with here.responses.create(
        model="slow", input="Count.", previous_response_id=second.id, stream=True, background=True
    ) as begun:
        seen = list(islice(begun, SEEN))
    created = seen[0]
    assert created.type == "response.created"
    with there.responses.retrieve(created.response.id, stream=True, starting_after=seen[-1].sequence_number) as resumed:
        events = [*seen, *resumed]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    yield "".join(event.delta for event in events if event.type == "response.output_text.delta")
    third = there.responses.create(model="tools", input="And now?", previous_response_id=created.response.id)
    assert third.usage is not None
    yield f"{third.output_text} {third.usage.input_tokens}"


def session(pods: list[ApiProcess]) -> Iterator[str]:
    with ExitStack() as opened:
        yield from turns(
            *(
                opened.enter_context(openai.OpenAI(base_url=f"{pod.url}/v1", api_key="none", max_retries=0))
                for pod in pods
            )
        )


def test_a_session_of_openais_sdk_goes_on_at_each_pod(pods: list[ApiProcess]) -> None:
    words = 3 + 2 + 2 + 1 + 30 + 2  # all that was sent and answered, but for calls and reasoning
    assert list(session(pods)) == ["reasoning function_call", "is 42", WORDS, f"And now? {words}"]


@pytest.mark.parametrize("pods", [False], indirect=True, ids=["nothing shared"])
def test_without_a_store_in_common_the_session_ends_at_the_second_pod(pods: list[ApiProcess]) -> None:
    """The control of the one above."""
    steps = session(pods)
    assert next(steps) == "reasoning function_call"
    with pytest.raises(openai.BadRequestError) as caught:
        next(steps)
    assert caught.value.code == "previous_response_not_found"


TOOL: ToolParam = {"name": "add", "input_schema": {"type": "object", **SCHEMA}}


def converse(pods: list[ApiProcess], *, sends_back: bool = True) -> tuple[str | None, str]:
    """Return the reason to stop and the text of the second pod, after a call of a tool that the first one made."""
    asked: Any = {"model": "assistant", "max_tokens": 4000, "tools": [TOOL]}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 2048}
    messages: list[MessageParam] = [{"role": "user", "content": 'add {"a": 1}'}]
    with ExitStack() as opened:
        here, there = (
            opened.enter_context(anthropic.Anthropic(base_url=pod.url, api_key="none", max_retries=0)) for pod in pods
        )
        with here.messages.stream(messages=messages, **asked) as stream:
            first = stream.get_final_message()
        assert [block.type for block in first.content] == ["thinking", "tool_use"]
        call = first.content[-1]
        assert call.type == "tool_use"
        assert (call.input, first.stop_reason) == ({"a": 1}, "tool_use")
        if sends_back:
            messages += [
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "is 42"}]},
            ]
        with there.messages.stream(messages=messages, **asked) as stream:
            text = "".join(stream.text_stream)
            return stream.get_final_message().stop_reason, text


def test_a_session_of_anthropics_sdk_has_tools_and_thinking(pods: list[ApiProcess]) -> None:
    assert converse(pods) == ("end_turn", "is 42")


def test_without_what_was_said_the_tool_is_called_again(pods: list[ApiProcess]) -> None:
    """The control of the one above: that API has no store."""
    assert converse(pods, sends_back=False) == ("tool_use", "")
