"""The relay that most people write: FastAPI and the official SDK.

Run as `python -m chatfleet_lab.bench.peers.fastapi_openai PORT UPSTREAM`. No feature of ours is in it (no limits, no
run that outlives its request, no log, no truth about cut streams): it is the price of the usual parts alone.
"""

import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI


def create_app(upstream: str) -> FastAPI:
    """Return an application that passes chat completions on from `upstream`."""
    app = FastAPI()
    client = AsyncOpenAI(base_url=upstream, api_key="none")

    @app.post("/v1/chat/completions")
    async def relay(body: dict[str, Any]) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            async for chunk in await client.chat.completions.create(**body):
                yield f"data: {chunk.model_dump_json()}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    port, upstream = sys.argv[1:]
    app = create_app(upstream)
    uvicorn.run(app, host="127.0.0.1", port=int(port), loop="uvloop", access_log=False, log_level="error")
