"""What readers lack of an answer that was stored whole: its pod died, or its log is gone. Pure."""

from collections.abc import Sequence

from msgspec.structs import replace

from chatfleet_api.chat.reply import Reply, pieces_of
from chatfleet_api.domain.events import Piece, Reasoning, Thought, Token, ToolCall
from chatfleet_api.providers.provider import StreamItem
from chatfleet_api.sessions.store import StoredMessage


def missing_pieces(visible: Sequence[StreamItem], stored: StoredMessage) -> tuple[Piece, ...] | None:
    """Return the pieces of `stored` after those that are `visible`; None when it does not go on from these.

    An answer is its reasoning, its text, and its calls of tools: what is visible has to be the beginning of that.
    """
    whole, seen = pieces_of(stored), pieces_of(_as_stored(visible))
    if not seen:
        return whole
    if len(seen) > len(whole) or seen[:-1] != whole[: len(seen) - 1]:
        return None
    rest = _rest(seen[-1], whole[len(seen) - 1])
    return None if rest is None else (*rest, *whole[len(seen) :])


def _as_stored(visible: Sequence[StreamItem]) -> StoredMessage:
    reply = Reply(lambda: 0, visible)
    thoughts = reply.thoughts or ([Thought(reply.reasoning)] if reply.reasoning else None)
    return StoredMessage("", "assistant", reply.text, "", tool_calls=reply.tool_calls, thoughts=thoughts)


def _rest(seen: Piece, whole: Piece) -> tuple[Piece, ...] | None:
    """Return what follows the beginning of a piece; None when it is not the beginning of it."""
    if seen == whole:
        return ()
    match seen, whole:
        case Token(), Token() if whole.text.startswith(seen.text):
            return (Token(whole.text[len(seen.text) :]),)
        case Reasoning(signature=None), Reasoning() if whole.text.startswith(seen.text):
            return (replace(whole, text=whole.text[len(seen.text) :]),)
        case ToolCall(), ToolCall() if replace(seen, arguments="") == replace(
            whole, arguments=""
        ) and whole.arguments.startswith(seen.arguments):
            return (ToolCall(whole.index, arguments=whole.arguments[len(seen.arguments) :]),)
        case _:
            return None
