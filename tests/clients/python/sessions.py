"""Libraries for applications, each in a session: CLIENT URL MODEL TURNS prints the text that each turn ended with.

In each turn the model calls the tool `note` with the text `turn-N`, and repeats the result.
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import agents
import instructor
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

KEY = "unused"
PADDING = " ".join(["word"] * 60)
"""Makes an answer take two seconds, so that a pod can be killed while it generates it."""


def note(text: str) -> str:
    """Keep a note."""
    return text


def questions(turns: int) -> Iterator[str]:
    for turn in range(1, turns + 1):
        more = PADDING if turn == turns // 2 else "word"
        yield f"note {json.dumps({'text': f'turn-{turn} {more}'})}"


def _langchain(chat: BaseChatModel, turns: int) -> Iterator[str]:
    model = chat.bind_tools([tool(note)])
    history: list[BaseMessage] = []
    for question in questions(turns):
        history.append(HumanMessage(question))
        answer = model.invoke(history)
        history.append(answer)
        history += [ToolMessage(note(**call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls]
        answer = model.invoke(history)
        history.append(answer)
        yield answer.text


def langchain_chat(url: str, model: str, turns: int) -> Iterator[str]:
    return _langchain(ChatOpenAI(base_url=f"{url}/v1", api_key=KEY, model=model), turns)


def langchain_responses(url: str, model: str, turns: int) -> Iterator[str]:
    return _langchain(ChatOpenAI(base_url=f"{url}/v1", api_key=KEY, model=model, use_responses_api=True), turns)


def langchain_messages(url: str, model: str, turns: int) -> Iterator[str]:
    return _langchain(ChatAnthropic(base_url=url, api_key=KEY, model=model, max_tokens=1000), turns)


def _agents_sdk(model: agents.Model, turns: int) -> Iterator[str]:
    agents.set_tracing_disabled(disabled=True)
    agent = agents.Agent(name="keeper", model=model, tools=[agents.function_tool(note)])
    history: list[Any] = []
    for question in questions(turns):
        result = agents.Runner.run_sync(agent, [*history, {"role": "user", "content": question}])
        history = result.to_input_list()
        yield str(result.final_output)


def agents_chat(url: str, model: str, turns: int) -> Iterator[str]:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)
    return _agents_sdk(agents.OpenAIChatCompletionsModel(model, client), turns)


def agents_responses(url: str, model: str, turns: int) -> Iterator[str]:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)
    return _agents_sdk(agents.OpenAIResponsesModel(model, client), turns)


def _pydantic_ai(model: Model, turns: int) -> Iterator[str]:
    agent = Agent(model, tools=[note])
    history: list[ModelMessage] = []
    for question in questions(turns):
        result = agent.run_sync(question, message_history=history)
        history = result.all_messages()
        yield result.output


def pydantic_ai_chat(url: str, model: str, turns: int) -> Iterator[str]:
    return _pydantic_ai(OpenAIChatModel(model, provider=OpenAIProvider(f"{url}/v1", api_key=KEY)), turns)


def pydantic_ai_responses(url: str, model: str, turns: int) -> Iterator[str]:
    return _pydantic_ai(OpenAIResponsesModel(model, provider=OpenAIProvider(f"{url}/v1", api_key=KEY)), turns)


class Note(BaseModel):
    """A note."""

    text: str


def instructor_chat(url: str, model: str, turns: int) -> Iterator[str]:
    client = instructor.from_openai(openai.OpenAI(base_url=f"{url}/v1", api_key=KEY))
    history: list[Any] = []
    for turn in range(1, turns + 1):
        history.append({"role": "user", "content": f"Note 'turn-{turn} {PADDING[:40]}'"})  # in quotes: an argument
        found = client.chat.completions.create(model=model, messages=history, response_model=Note)
        history.append({"role": "assistant", "content": found.text})
        yield found.text


CLIENTS: dict[str, Callable[[str, str, int], Iterator[str]]] = {
    "langchain-chat": langchain_chat,
    "langchain-responses": langchain_responses,
    "langchain-messages": langchain_messages,
    "agents-chat": agents_chat,
    "agents-responses": agents_responses,
    "pydantic-ai-chat": pydantic_ai_chat,
    "pydantic-ai-responses": pydantic_ai_responses,
    "instructor-chat": instructor_chat,
}

if __name__ == "__main__":
    name, address, served, number = sys.argv[1:]
    for text in CLIENTS[name](address, served, int(number)):
        print(json.dumps(text), flush=True)  # noqa: T201  # the test reads it
