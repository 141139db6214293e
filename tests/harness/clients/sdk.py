"""A stream by the vendor's SDK."""

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionUserMessageParam

from harness.pods.api_process import ApiProcess

HI: ChatCompletionUserMessageParam = {"role": "user", "content": "Hi"}


def ask(api: ApiProcess, model: str) -> openai.Stream[ChatCompletionChunk]:
    """Ask for a stream, once."""
    client = openai.OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0)
    return client.chat.completions.create(model=model, messages=[HI], stream=True)
