"""What a vendor's API refuses in a request: the rules that its documents and its error messages state."""

import base64
import re
from collections.abc import Iterator
from typing import Any

IMAGES = {
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}
"""First bytes by type."""


def anthropic_refusal(body: dict[str, Any]) -> str | None:
    """Return why Anthropic's Messages API refuses `body`; None when it takes it."""
    return next(_anthropic_faults(body), None)


def bedrock_refusal(body: dict[str, Any]) -> str | None:
    """Return why Bedrock's Converse refuses `body`, by the rules of Anthropic's models; None when it takes it."""
    turns = [turn | {"content": list(map(_as_anthropic, turn["content"]))} for turn in body["messages"]]
    tools = body.get("toolConfig", {}).get("tools", [])
    return anthropic_refusal({"messages": turns, "tools": tools})


def _as_anthropic(block: dict[str, Any]) -> dict[str, Any]:
    ((kind, value),) = block.items()
    if kind == "text":
        return {"type": "text", "text": value}
    if kind == "image":
        source = {"type": "base64", "media_type": f"image/{value['format']}", "data": value["source"]["bytes"]}
        return {"type": "image", "source": source}
    if kind == "toolUse":
        return {"type": "tool_use", "id": value["toolUseId"], "name": value["name"], "input": value["input"]}
    content = list(map(_as_anthropic, value["content"]))
    return {"type": "tool_result", "tool_use_id": value["toolUseId"], "content": content}


def _anthropic_faults(body: dict[str, Any]) -> Iterator[str]:
    turns = body["messages"]
    used: set[str] = set()
    awaited: set[str] = set()
    for position, turn in enumerate(turns):
        where, blocks = f"messages.{position}", turn["content"]
        if position and turn["role"] == turns[position - 1]["role"]:
            yield f"{where}: roles must alternate"
        if not blocks:
            yield f"{where}: all messages must have non-empty content"
        yield from (f"{where}: {wrong}" for wrong in map(_wrong_block, blocks) if wrong)
        if turn["role"] == "assistant" and any(block["type"] == "image" for block in blocks):
            yield f"{where}: 'image' blocks are not permitted within assistant turns"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(results) != sorted(awaited):
            yield f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after, or the reverse"
        if any(block["type"] != "tool_result" for block in blocks[: len(results)]):
            yield f"{where}: `tool_result` blocks must come first"
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len({*calls, *used}) != len(calls) + len(used):
            yield f"{where}: `tool_use` ids must be unique"
        used.update(calls)
        awaited = set(calls)
    if awaited:
        yield "`tool_use` ids were found without `tool_result` blocks"
    if used and not body.get("tools"):
        yield "Requests which include `tool_use` or `tool_result` blocks must define tools"
    yield from _wrong_ends(turns)


def _wrong_ends(turns: list[dict[str, Any]]) -> Iterator[str]:
    if not turns or turns[0]["role"] != "user":
        yield 'messages: first message must use the "user" role'
    text = turns[-1]["content"][-1].get("text", "") if turns else ""
    if turns and turns[-1]["role"] == "assistant" and text != text.rstrip():
        yield "final assistant content cannot end with trailing whitespace"


def _wrong_block(block: dict[str, Any]) -> str | None:
    if block["type"] == "text":
        return None if block["text"].strip() else "text content blocks must contain non-whitespace text"
    if block["type"] == "image":
        return _wrong_image(block["source"])
    if block["type"] == "tool_result":
        content = block.get("content", "x")
        wrong = (_wrong_block(part) for part in content) if isinstance(content, list) else iter(())
        return next(filter(None, wrong), None)
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]):
        return "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    return None if isinstance(block["input"], dict) else "tool_use.input: Input should be a valid dictionary"


def _wrong_image(source: dict[str, str]) -> str | None:
    if source["type"] == "url":
        return None if source["url"].startswith("https://") else "Only HTTPS URLs are supported"
    kind = source["media_type"]
    if kind not in IMAGES:
        return f"source.base64.media_type: Input should be {', '.join(IMAGES)}"
    data = base64.b64decode(source["data"], validate=True)
    return None if data.startswith(IMAGES[kind]) else f"Image does not match the provided media type {kind}"


def openai_refusal(body: dict[str, Any]) -> str | None:
    """Return why OpenAI's chat completions refuse `body`; None when they take it."""
    awaited: set[str] = set()
    for position, message in enumerate(body["messages"]):
        where = f"messages[{position}]"
        content = message.get("content")
        if isinstance(content, list) and (wrong := _wrong_parts(message["role"], content)):
            return f"Invalid '{where}'. {wrong}"
        if message["role"] == "tool":
            if message["tool_call_id"] not in awaited:
                return f"{where}: role 'tool' must be a response to a preceding message with 'tool_calls'"
            awaited.discard(message["tool_call_id"])
            continue
        if awaited:
            return f"{where}: an assistant message with 'tool_calls' must be followed by tool messages"
        calls = message.get("tool_calls", ())
        if message.get("content") is None and not calls:
            return f"{where}.content: expected a string, got null"
        if any(not call["id"] or not call["function"]["name"] for call in calls):
            return f"{where}.tool_calls: empty id or name"
        awaited = {call["id"] for call in calls}
    return "tool messages are missing" if awaited else None


def _wrong_parts(role: str, parts: list[dict[str, Any]]) -> str | None:
    if not parts:
        return (
            "Invalid 'content': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
    if role != "user" and any(part["type"] == "image_url" for part in parts):
        only = "Image URLs are only allowed for messages with role 'user'"
        return f"{only}, but this message with role '{role}' contains an image URL."
    return None
