"""Open WebUI, unmodified: its server as a process, and a chat by the requests that its page sends."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from harness.clients.toolchains import inherited
from harness.net import LOOPBACK, free_port
from harness.pods.api_process import fetch
from harness.polling import eventually_async
from harness.process import await_ready, started

TOOL: Final = '''\
class Tools:
    def note(self, text: str) -> str:
        """Keep a note.

        :param text: the note
        """
        return text
'''
"""A tool of Open WebUI: its server runs it when the model calls it."""
START_SECONDS: Final = 120
TURN_SECONDS: Final = 60
TRIES: Final = 5
Document = dict[str, Any]


class Chat:
    """A chat with a model that may call the tool `note`."""

    def __init__(self, url: str, model: str) -> None:
        self._url, self._model = url, model
        self._headers: dict[str, str] = {}
        self._chat: str | None = None
        self._last: str | None = None

    async def open(self) -> None:
        """Sign in, and give Open WebUI the tool."""
        user = await self._post("/api/v1/auths/signin", {"email": "", "password": ""})
        self._headers = {"Authorization": f"Bearer {user['token']}"}
        tool = {"id": "notes", "name": "Notes", "content": TOOL, "meta": {"description": "Keeps notes."}}
        await self._post("/api/v1/tools/create", tool)

    async def models(self) -> list[str]:
        """Return the models that the page offers."""
        answer = await asyncio.to_thread(fetch, f"{self._url}/api/models", **self._headers)
        return [each["id"] for each in answer.json["data"]]

    async def send(self, text: str) -> tuple[str, int]:
        """Send a message; returns the answer, and how often its user had to have it generated again."""
        message = {
            "id": str(uuid.uuid4()),
            "parentId": self._last,
            "role": "user",
            "content": text,
            "timestamp": int(time.time()),
            "models": [self._model],
        }
        for again in range(TRIES):
            answer = await self._answer(message)
            if "error" not in answer:
                self._last = answer["id"]
                return answer["content"], again
        raise AssertionError(answer["error"])

    async def _answer(self, message: Document) -> Document:
        answer = str(uuid.uuid4())
        sent = await self._post(
            "/api/chat/completions",
            {
                "model": self._model,
                "stream": True,
                "params": {"function_calling": "native"},
                "tool_ids": ["notes"],
                "session_id": "page",
                "id": answer,
                "parent_id": self._last,
                "user_message": message,
                "messages": [{"role": "user", "content": message["content"]}],
                **({"chat_id": self._chat} if self._chat else {}),
            },
        )
        self._chat = sent["chat_id"]
        messages: dict[str, Document] = {}

        async def is_done() -> bool:
            chat = await asyncio.to_thread(fetch, f"{self._url}/api/v1/chats/{self._chat}", **self._headers)
            messages.update(chat.json["chat"]["history"]["messages"])
            return bool(messages.get(answer, {}).get("done") or messages.get(answer, {}).get("error"))

        await eventually_async(is_done, seconds=TURN_SECONDS, every=0.2)
        return messages[answer]

    async def _post(self, path: str, body: Document) -> Document:
        answer = await asyncio.to_thread(fetch, self._url + path, body, **self._headers)
        assert answer.status == HTTPStatus.OK, answer.body
        document: Document = answer.json
        return document


@contextmanager
def open_webui(python: Path, folder: Path, upstream: str) -> Iterator[str]:
    """Run the server, with `upstream` as its only one, by a Python that has it; yields its URL."""
    (package,) = python.parents[1].glob("lib/*/site-packages/open_webui")
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    settings = {
        "DATA_DIR": str(folder),
        "FRONTEND_BUILD_DIR": str(package / "frontend"),
        "OPENAI_API_BASE_URLS": f"{upstream}/v1",
        "OPENAI_API_KEYS": "unused",
        "ENABLE_OLLAMA_API": "false",
        "WEBUI_AUTH": "false",
        "WEBUI_SECRET_KEY": "unused",
        "OFFLINE_MODE": "true",
        "RAG_EMBEDDING_ENGINE": "openai",
        "AUDIO_STT_ENGINE": "openai",
        "ANONYMIZED_TELEMETRY": "false",
    }
    command = (str(python), "-m", "uvicorn", "open_webui.main:app", "--host", LOOPBACK, "--port", str(port))
    with started("open-webui", command, folder=folder, environment=inherited() | settings) as program:
        await_ready(program, lambda: _is_healthy(url), seconds=START_SECONDS)
        yield url


def _is_healthy(url: str) -> bool:
    try:
        return fetch(f"{url}/health").status == HTTPStatus.OK
    except OSError:
        return False
