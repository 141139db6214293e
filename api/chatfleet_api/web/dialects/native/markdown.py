"""A conversation as Markdown, for people.

The text of a message is quoted line by line, so that no text of it can look like another message.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from chatfleet_api.domain.request import AnyToolCall, CustomToolCall
from chatfleet_api.sessions.store import Conversation, StoredMessage

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+.!|~&-])")
_LINE_END: Final = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def markdown(conversation: Conversation, messages: Sequence[StoredMessage]) -> str:
    """Return a document with the title, the times, and the text, calls of tools and sources of each message."""
    title = _SPECIAL.sub(r"\\\1", " ".join((conversation.title or "Conversation").split()))
    blocks = [f"# {title}", f"Conversation {conversation.id}, begun {conversation.created_at}."]
    for message in messages:
        state = "" if message.status == "complete" else f" ({message.status})"
        blocks += [f"## {message.role.capitalize()}{state}", message.created_at, *_quoted(message)]
    return "\n\n".join(blocks) + "\n"


def _quoted(message: StoredMessage) -> Iterator[str]:
    if message.content:
        yield _quote(message.content)
    for call in message.tool_calls or ():
        name, argument = _call(call)
        yield _quote(f"Call of {_code(name)} with {_code(argument)}")
    for citation in message.citations:
        yield _quote(f"Source {_code(citation.source)}, chunk {citation.chunk}")


def _call(call: AnyToolCall) -> tuple[str, str]:
    if isinstance(call, CustomToolCall):
        return call.custom.name, call.custom.input
    return call.function.name, call.function.arguments


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in _LINE_END.split(text))


def _code(text: str) -> str:
    """Return a code span: its fence is longer than any run of backticks in it."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"
