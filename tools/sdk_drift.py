"""Prints what the newest SDKs of OpenAI and Anthropic have in their wire formats that the pinned ones do not.

`make sdk-drift` runs it. Tests hold the dialects to the pinned SDKs, so that what is printed is what they do not know.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import typing_extensions
from pydantic import BaseModel

PACKAGES: Final = ("openai", "anthropic")
ROOTS: Final = (
    "openai.types.chat.completion_create_params.CompletionCreateParamsStreaming",
    "openai.types.chat.ChatCompletion",
    "openai.types.chat.ChatCompletionChunk",
    "openai.types.responses.response_create_params.ResponseCreateParamsStreaming",
    "openai.types.responses.Response",
    "openai.types.responses.ResponseStreamEvent",
    "openai.types.conversations.conversation_create_params.ConversationCreateParams",
    "openai.types.embedding_create_params.EmbeddingCreateParams",
    "openai.types.Model",
    "anthropic.types.message_create_params.MessageCreateParamsStreaming",
    "anthropic.types.beta.message_create_params.MessageCreateParamsStreaming",
    "anthropic.types.message_count_tokens_params.MessageCountTokensParams",
    "anthropic.types.Message",
    "anthropic.types.RawMessageStreamEvent",
    "anthropic.types.ModelInfo",
)
"""Types of requests, answers and events; all types that they refer to follow."""


def inventory(roots: Mapping[str, Any]) -> set[str]:
    """Return a line for each field of each type that is reachable from `roots`, and for each word that it may have."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(roots.items())
    while waiting:
        place, hint = waiting.pop()
        for inner_place, inner in _parts(place, hint):
            if not _is_object(inner):
                found.add(f"{inner_place} = {inner}")
                continue
            name = f"{inner.__module__}.{inner.__qualname__}"
            if name in seen:
                continue
            seen.add(name)
            for field, kind in _hints(inner).items():
                found.add(f"{inner.__qualname__}.{field}")
                waiting.append((f"{inner.__qualname__}.{field}", kind))
    return found


def _parts(place: str, hint: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # any type
    """Yield the words of a type, and the objects in it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        yield from ((place, repr(word)) for word in arguments)
    elif origin is Annotated:
        yield from _parts(place, arguments[0])
    elif origin in (Union, types.UnionType) or arguments:
        for each in arguments:
            yield from _parts(place, each)
    elif _is_object(hint):
        yield place, hint


def _is_object(kind: Any) -> bool:  # noqa: ANN401  # any type
    return typing_extensions.is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401  # any type
    if typing_extensions.is_typeddict(kind):
        module = vars(importlib.import_module(kind.__module__))
        return dict(typing_extensions.get_type_hints(kind, module))
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


def _roots() -> dict[str, Any]:
    loaded = {}
    for path in ROOTS:
        module, _, name = path.rpartition(".")
        if found := getattr(importlib.import_module(module), name, None):
            loaded[path] = found
    return loaded


def _inventory_in(folder: str | None) -> tuple[dict[str, str], set[str]]:
    """Return the versions and the inventory of the SDKs in `folder`, or of the pinned ones."""
    environment = os.environ | ({"PYTHONPATH": folder} if folder else {})
    command = [sys.executable, __file__, "--inventory"]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    read = json.loads(printed)
    return read["versions"], set(read["lines"])


def main() -> None:
    if "--inventory" in sys.argv:
        versions = {name: importlib.import_module(name).__version__ for name in PACKAGES}
        sys.stdout.write(json.dumps({"versions": versions, "lines": sorted(inventory(_roots()))}))
        return
    with tempfile.TemporaryDirectory() as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *PACKAGES]
        subprocess.run(install, check=True)
        pinned, known = _inventory_in(None)
        newest, there = _inventory_in(folder)
    sys.stdout.write(f"Pinned: {pinned}\nNewest: {newest}\n")
    for sign, lines in (("+", there - known), ("-", known - there)):
        sys.stdout.writelines(f"{sign} {line}\n" for line in sorted(lines))
    if there == known:
        sys.stdout.write("No difference.\n")


if __name__ == "__main__":
    main()
