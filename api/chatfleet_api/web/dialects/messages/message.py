"""A whole message, put together from its events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Failed
from chatfleet_api.runs.tail import Batch
from chatfleet_api.web.collect import as_error
from chatfleet_api.web.dialects.messages.events import Fields, MessageEvents
from chatfleet_api.web.sse import json_text


async def collected(run: AsyncGenerator[Batch, None]) -> bytes:
    """Read all of a run, and return its message; raise `ChatError` when it is not whole."""
    events, message = MessageEvents(), Message()
    async with aclosing(run) as batches:
        async for batch in batches:
            for event in batch.events:
                if isinstance(event, Failed):
                    raise as_error(event)
                for each in events.take(event):
                    message.add(each)
    if not message.is_whole:
        raise ChatError(Code.INTERRUPTED, detail="the events of a run end without a terminal one")
    return json_text(message.fields)


class Message:
    """The message so far."""

    def __init__(self) -> None:
        self.fields: Fields = {}
        self.is_whole = False
        self._blocks: dict[int, Fields] = {}
        self._texts: dict[tuple[int, str], list[str]] = {}
        """Pieces of the texts in a block, by its number and the name of the field."""

    def add(self, event: Fields) -> None:
        """Add one event."""
        match event["type"]:
            case "message_start":
                self.fields = dict(event["message"])
            case "content_block_start":
                self._blocks[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                self._continue(event["index"], event["delta"])
            case "content_block_stop":
                self._end(event["index"])
            case "message_delta":
                self._finish(event)
            case "message_stop":
                self.is_whole = True
            case _:
                pass

    def _continue(self, index: int, delta: Fields) -> None:
        block = self._blocks.setdefault(index, {})
        for name, value in delta.items():
            if name == "type":
                continue
            if name == "citation":
                block["citations"] = [*(block.get("citations") or ()), value]
            elif isinstance(value, str):
                self._texts.setdefault((index, name), [block.get(name) or ""]).append(value)
            else:
                block[name] = value

    def _end(self, index: int) -> None:
        block = self._blocks.setdefault(index, {})
        for at, name in [key for key in self._texts if key[0] == index]:
            text = "".join(self._texts.pop((at, name)))
            if name == "partial_json":
                block["input"] = _arguments(text)
            else:
                block[name] = text

    def _finish(self, event: Fields) -> None:
        news = {name: value for name, value in event["usage"].items() if value is not None}
        usage = {**self.fields.get("usage", {}), **news}
        rest = {name: value for name, value in event.items() if name not in ("type", "delta", "usage")}
        content = [block for _, block in sorted(self._blocks.items())]
        self.fields |= {**event["delta"], **rest, "content": content, "usage": usage}


def _arguments(text: str) -> Any:  # noqa: ANN401  # any JSON value
    """Return the arguments of a tool call; those that are cut off as the text they are."""
    try:
        return msgspec.json.decode(text or "{}")
    except msgspec.MsgspecError:
        return {"partial_json": text}
