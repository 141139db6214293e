"""Which messages of a conversation go to the model, decided by tokens (`conversations.contextTokens`). Pure.

A turn begins with a message of the user, so that calls of tools and their results are in the same one. The oldest turns
are left out first. Instructions, the last turn and what the request itself brings always stay.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat.compaction import stands_for, summarised
from chatfleet_api.chat.history import continued
from chatfleet_api.chat.item_kinds import MESSAGE
from chatfleet_api.chat.items import kind_of
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import ContextUse
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.domain.usage_estimate import BYTES_PER_TOKEN, tokens_of
from chatfleet_api.sessions.store import StoredMessage, Summary
from chatfleet_contract.spec import Conversations, Overflow

STEPS: Final = 8
"""Parts of the window of which whole ones are left out: a prompt that begins anew each turn is in no vendor's cache."""
_INSTRUCTIONS: Final = ("system", "developer")
_TURNS: Final = (MESSAGE, "compaction")
"""Kinds of items of the user that begin a turn; others are results."""
_item: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Window(NamedTuple):
    """What models get of a conversation."""

    tokens: int | None = None
    """Most that go; None: all of it."""
    overflow: Overflow = "trim"


def window_of(conversations: Conversations) -> Window:
    """Return the window that is configured."""
    return Window(conversations.context_tokens, conversations.overflow)


class Past(NamedTuple):
    """The messages before, or a summary in the place of the first of them."""

    messages: Sequence[StoredMessage]
    summary: tuple[Message, ...] = ()
    left_out: int = 0
    """Messages that the summary stands for."""

    def use(self, use: ContextUse | None) -> ContextUse | None:
        """Return `use`, which is about `messages`, for all messages before."""
        return None if use is None else ContextUse(use.messages, use.left_out + self.left_out)


class Asked(NamedTuple):
    """What the model gets."""

    request: ChatRequest
    use: ContextUse | None = None
    """None: there is no window."""


def asked(
    window: Window,
    before: Sequence[StoredMessage],
    request: ChatRequest,
    instructions: Sequence[Message] = (),
    *,
    may_trim: bool = True,
) -> Asked:
    """Return `request` with `instructions` and the messages before that fit into the window.

    Without `may_trim` all of them go, unless the window rejects. Raises `ChatError(CONTEXT_TOO_LONG)` when it does, and
    as `continued` does.
    """
    if window.tokens is None:
        return Asked(continued(before, request, instructions))
    counts = token_counts(before)
    own = replace(request, messages=(*instructions, *request.messages))
    total = sum(counts) + tokens_of(own)
    if total > window.tokens and window.overflow == "reject":
        raise _too_long(total, window.tokens)
    first = 0
    if may_trim:
        has_question = any(message.role == "user" for message in request.messages)
        first = first_kept(before, counts, total=total, most=window.tokens, has_question=has_question)
    kept = [message for at, message in enumerate(before) if at >= first or message.role in _INSTRUCTIONS]
    whole = continued(kept, request, instructions)
    return Asked(whole, ContextUse(len(whole.messages), len(before) - len(kept)))


def past_of(window: Window, before: Sequence[StoredMessage], summary: Summary | None) -> Past:
    """Return `before` with `summary` in the place of the messages that it stands for, where the window compacts."""
    covered = stands_for(summary, before) if window.overflow == "compact" and window.tokens is not None else 0
    if summary is None or not covered:
        return Past(before)
    rest = [message for at, message in enumerate(before) if at >= covered or message.role in _INSTRUCTIONS]
    return Past(rest, (summarised(summary),), len(before) - len(rest))


def first_kept(
    before: Sequence[StoredMessage], counts: Sequence[int], *, total: int, most: int, has_question: bool
) -> int:
    """Return the place of the first message that goes; only instructions before it go as well.

    `counts` are the tokens of each message before, `total` those of the whole request, of which `most` may go.
    """
    if total <= most:
        return 0
    step = max(1, most // STEPS)
    excess = -(-(total - most) // step) * step
    turns = [at for at, message in enumerate(before) if _begins_turn(message)]
    places = [*turns, len(before)] if has_question else turns
    left_out, reached = 0, 0
    for place in places:
        left_out += sum(counts[at] for at in range(reached, place) if before[at].role not in _INSTRUCTIONS)
        reached = place
        if left_out >= excess:
            break
    return reached


def token_counts(messages: Sequence[StoredMessage]) -> list[int]:
    """Return the tokens of each message: as its vendor has counted them, else a guess from its text.

    A vendor counts an answer, and the prompt of each. What the prompt of an answer has beyond that of the answer
    before is what came between them; if both came from one model and had the same messages before. No text has more
    tokens than bytes: a count beyond is of more than the text, such as of several steps, and is not taken.
    """
    counts = [_estimate(message) for message in messages]
    last: int | None = None
    for at, answer in enumerate(messages):
        usage = answer.usage
        if answer.role != "assistant" or answer.status != "complete" or usage is None or usage.estimated:
            continue
        counts[at] = _plausible(usage.output_tokens - usage.reasoning_tokens, counts[at])
        if last is not None and _of_one_prompt(messages[last], answer):
            before = messages[last].usage
            grown = usage.input_tokens - (before.input_tokens if before else 0) - counts[last]
            guesses = counts[last + 1 : at]
            if 0 < grown <= BYTES_PER_TOKEN * sum(guesses):
                counts[last + 1 : at] = [-(-grown * guess // sum(guesses)) for guess in guesses]
        last = at
    return counts


def _of_one_prompt(first: StoredMessage, second: StoredMessage) -> bool:
    left_out = [message.context.left_out if message.context else 0 for message in (first, second)]
    retrieved = first.citations or second.citations
    return first.upstream_model == second.upstream_model and left_out[0] == left_out[1] and not retrieved


def _plausible(counted: int, guess: int) -> int:
    return counted if 0 < counted <= BYTES_PER_TOKEN * guess else guess


def _estimate(message: StoredMessage) -> int:
    sent = len(message.content.encode())
    if message.tool_calls:
        sent += len(msgspec.json.encode(message.tool_calls))
    return -(-sent // BYTES_PER_TOKEN)


def _begins_turn(message: StoredMessage) -> bool:
    return message.role == "user" and (not message.item or kind_of(_item(message.item)) in _TURNS)


def _too_long(total: int, most: int) -> ChatError:
    message = (
        f"The conversation has about {total} tokens with this message; at most {most} are possible"
        " (conversations.contextTokens). Begin a new conversation."
    )
    return ChatError(Code.CONTEXT_TOO_LONG, message)
