"""The messages of a conversation as a tree, of which the current path is shown and goes to the model. Pure.

A message follows the one before it in the store, unless it names another parent; so a conversation without branches is
a line. The path ends with the newest message, until a caller chooses another end (`Conversation.head`). A choice holds
while the message stays the newest that was so when it was made: what is sent next goes on from the chosen end, and is
newer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from chatfleet_api.sessions.store import Conversation, StoredMessage, removed

ROOT: Final = ""
"""Stands for the parent of a message that has none."""


def newest(entries: Iterable[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return the messages that `entries` make: in order of their first entry, each in the state of its last entry."""
    states = {entry.id: entry for entry in entries}.values()
    return without_removed(states) if any(entry.removed for entry in states) else tuple(states)


def parents(messages: Iterable[StoredMessage]) -> dict[str, str]:
    """Return the parent of each message, by their ids. A parent that does not come before it in the store is none."""
    found: dict[str, str] = {}
    before = ROOT
    for message in messages:
        named = message.parent
        found[message.id] = named if named is not None and (named in found or named == ROOT) else before
        before = message.id
    return found


def path_to(messages: Sequence[StoredMessage], end: str) -> tuple[StoredMessage, ...]:
    """Return the messages from the first one to `end`; nothing when that is `ROOT`."""
    above, known = parents(messages), {message.id: message for message in messages}
    found: list[StoredMessage] = []
    while end in known:
        found.append(known.pop(end))
        end = above[end]
    return tuple(reversed(found))


def current_head(conversation: Conversation, messages: Sequence[StoredMessage]) -> str:
    """Return the id of the message that the current path ends with, `ROOT` when there is none."""
    if not messages:
        return ROOT
    newest, chosen = messages[-1].id, conversation.head
    if chosen is not None and chosen.newest == newest and any(message.id == chosen.message for message in messages):
        return chosen.message
    return newest


def current_path(conversation: Conversation, messages: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return the messages that are shown, and go to the model, oldest first."""
    return path_to(messages, current_head(conversation, messages))


def after(messages: Sequence[StoredMessage], end: str, following: Sequence[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return `following`, which go on after `end`, as they are stored after `messages`.

    The parent is named also if it is the newest: a message that was removed may stand between.
    """
    if not messages or not following:
        return tuple(following)
    return (replace(following[0], parent=end), *following[1:])


def question_of(messages: Sequence[StoredMessage], ident: str) -> str | None:
    """Return the message of the user that a message answers, or that it is; None when there is none."""
    above, roles = parents(messages), {message.id: message.role for message in messages}
    while ident in roles and roles[ident] != "user":
        ident = above[ident]
    return ident if ident in roles else None


def emptied(messages: Iterable[StoredMessage], ident: str) -> StoredMessage:
    """Return what is to stand in the place of a message."""
    return removed(ident, next((message.parent for message in messages if message.id == ident), None))


def without_removed(entries: Iterable[StoredMessage]) -> tuple[StoredMessage, ...]:
    """Return the messages that were not removed; those that followed a removed one follow the one before it."""
    kept: list[StoredMessage] = []
    moved: dict[str, str] = {}
    before = ROOT
    for entry in entries:
        parent = _known(moved, before if entry.parent is None else entry.parent)
        before = entry.id
        if entry.removed:
            moved[entry.id] = parent
        elif entry.parent is None and parent == (kept[-1].id if kept else ROOT):
            kept.append(entry)
        else:
            kept.append(replace(entry, parent=parent))
    return tuple(kept)


def _known(moved: Mapping[str, str], parent: str) -> str:
    while parent in moved:
        parent = moved[parent]
    return parent
