"""What many a relay does, all sins at once: the control run's server, which shows that a scenario can fail.

It says `stop` and `[DONE]` whatever the end was, swallows what it cannot read, begins again when an upstream breaks,
never notices that its client has left, takes as many as come, waits for its reader and for Redis at every token, and
ends its responses by closing the connection. It runs in the environment of a pod.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from chatfleet_api.pod.settings import ENV_HEALTH_PORT, ENV_PORT
from chatfleet_contract.names import ENV_CONFIG_FILE
from chatfleet_contract.runtime import RuntimeConfig
from harness.net import BACKLOG, LOOPBACK
from harness.upstream.wires import wire_of

TRIES = 3
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_MAX_TOKENS = 4096
"""For each answer; some vendors require a limit."""
_STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Relay:
    """The sinner."""

    def __init__(self, config: RuntimeConfig, session: aiohttp.ClientSession, redis: Redis | None) -> None:
        self._urls = {
            provider.name: f"{provider.base_url}{wire_of(provider.type, provider.api).path}"
            for provider in config.providers
        }
        self._session = session
        self._redis = redis

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        asked = json.loads(await reader.readexactly(int(length[1]) if length else 0))
        writer.write(_HEAD)
        for _ in range(TRIES):
            with suppress(aiohttp.ClientError, TimeoutError):
                async for token in self._tokens(asked):
                    await self._send(writer, token)
                break
        writer.write(_STOP)
        writer.close()

    async def _tokens(self, asked: dict[str, object]) -> AsyncIterator[str]:
        model = str(asked["model"])
        body = {**asked, "stream": True, "max_tokens": _MAX_TOKENS, "input": asked["messages"], "store": False}
        async with self._session.post(self._urls[model].format(model=model), json=body) as response:
            async for data, _ in response.content.iter_chunks():
                for line in data.splitlines():
                    with suppress(ValueError, LookupError, TypeError):
                        event = json.loads(line[line.index(b'{"') : line.rindex(b"}") + 1])  # also within a frame
                        yield _text(event)

    async def _send(self, writer: asyncio.StreamWriter, token: str) -> None:
        if self._redis is not None:
            with suppress(RedisError):
                await self._redis.xadd("tokens", {"token": token})
        chunk = {"choices": [{"index": 0, "delta": {"content": token}, "finish_reason": None}]}
        with suppress(ConnectionError):
            writer.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            await writer.drain()


def _text(event: dict[str, Any]) -> str:
    """Return the text of an event, in any wire format."""
    if event.get("type") == "response.output_text.delta":
        return str(event["delta"])
    text: str = event["delta"]["text"] if "delta" in event else event["choices"][0]["delta"]["content"]
    return text


async def _healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    writer.close()


async def _serve(config: RuntimeConfig, redis_url: str, port: int, health_port: int) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=1)) as session:
        relay = Relay(config, session, Redis.from_url(redis_url) if redis_url else None)
        await asyncio.start_server(relay.answer, LOOPBACK, port, backlog=BACKLOG)
        await asyncio.start_server(_healthy, LOOPBACK, health_port)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    config = RuntimeConfig.model_validate_json(Path(os.environ[ENV_CONFIG_FILE]).read_text())
    redis_url = Path(config.redis_url_file).read_text() if config.redis_url_file else ""
    asyncio.run(_serve(config, redis_url, int(os.environ[ENV_PORT]), int(os.environ[ENV_HEALTH_PORT])))


if __name__ == "__main__":
    main()
