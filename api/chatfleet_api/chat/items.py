"""Items of the OpenAI dialect: messages, calls of tools and their results, and all other kinds.

They are stored as they came, and become what a model gets with each turn. What only upstreams of the same dialect can
take is named (`Untranslated`).
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec.structs import replace

from chatfleet_api.chat.compaction import summary_message
from chatfleet_api.chat.item_kinds import (
    KINDS,
    MESSAGE,
    PARTS,
    PDF_URL,
    CallOutput,
    CustomCall,
    FunctionCall,
    InputFile,
    InputImage,
    InputMessage,
    Known,
    Part,
    ReasoningItem,
    Refusal,
)
from chatfleet_api.chat.thoughts import read_thoughts
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Thought
from chatfleet_api.domain.request import (
    CHAT,
    RESPONSES,
    AnyToolCall,
    ContentPart,
    CustomInput,
    CustomToolCall,
    FileData,
    FilePart,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    Role,
    TextPart,
    Untranslated,
)
from chatfleet_api.sessions.store import StoredMessage

SERVER_TOOL_CALL: Final = "mcpc_"
"""Begins the ids of calls of our tools; those of vendors begin with `mcp_`."""
APPROVAL_REQUEST: Final = "mcpar_"
"""Begins the ids of requests for approval of our calls; those of vendors begin with `mcpr_`."""
Item: TypeAlias = Mapping[str, Any]


_FIELDS: Final = {known: frozenset(known.__struct_fields__) for known in KINDS.values()}
_OF_A_PDF: Final = frozenset({"type", "file_data", "filename"})
_OF_THE_ASSISTANT: Final = frozenset({"reasoning", "compaction"})


class Understood(NamedTuple):
    """What models get of an item."""

    message: Message | None
    """None: nothing. Encrypted reasoning belongs to its own vendor."""
    untranslated: tuple[Untranslated, ...] = ()
    """What of it only upstreams of the dialect can get."""


class NewItem(NamedTuple):
    """One item that was sent."""

    message: Message | None
    item: str = ""
    """As it came, JSON; empty: it came as text."""
    untranslated: tuple[Untranslated, ...] = ()
    role: Role = "user"

    def stored(self, message_id: str, now: str) -> StoredMessage:
        """Return it as it is stored."""
        message = self.message or Message(self.role)
        calls = message.tool_calls
        return StoredMessage(message_id, message.role, text_of(message), now, item=self.item, tool_calls=calls)


def new_item(item: Item, text: str, where: str) -> NewItem:
    """Return an item that was sent as `text`, in the field `where`; raises as `understood` does."""
    message, untranslated = understood(item, where)
    is_assistants = kind_of(item) in _OF_THE_ASSISTANT or kind_of(item).endswith("_call")
    role: Role = "assistant" if is_assistants else "tool" if is_of_our_tools(item) else "user"
    return NewItem(message, text, untranslated, role)


def kind_of(item: Item) -> str:
    """Return the type of an item; messages need not name theirs."""
    kind = item.get("type")
    return MESSAGE if kind is None else str(kind)


def understood(item: Item, where: str) -> Understood:
    """Return what models get of an item, which is in the field `where`.

    Raises `msgspec.ValidationError` for an item of a known kind in another form, `ChatError(INVALID_REQUEST)` for an
    image without address.
    """
    kind = kind_of(item)
    known = KINDS.get(kind)
    if kind == "compaction" and (summary := summary_message(str(item.get("encrypted_content")))):
        return Understood(summary)
    if is_of_our_tools(item):
        return Understood(None)  # of an earlier answer, whose text has what matters of it
    if known is None:
        remedy = "Use messages, and calls of functions with their results."
        return Understood(None, (_foreign(where, f"'{where}' is an item of type '{kind}'", remedy),))
    beyond: tuple[Untranslated, ...] = ()
    if not item.keys() <= _FIELDS[known]:
        beyond = tuple(
            _foreign(f"{where}.{name}", f"'{where}.{name}'", "Remove it.")
            for name, value in item.items()
            if value is not None and name not in _FIELDS[known]
        )
    parts, foreign = _known_parts(item, "output" if known is CallOutput else "content", where)
    message, more = _message(msgspec.convert(parts, known), where)
    return Understood(message, (*beyond, *foreign, *more) if beyond or foreign else more)


def is_of_our_tools(item: Item) -> bool:
    """Return whether an item is a call of ours, a request for the approval of one, or the decision about it."""
    match kind_of(item):
        case "mcp_call":
            return str(item.get("id")).startswith(SERVER_TOOL_CALL)
        case "mcp_approval_request":
            return str(item.get("id")).startswith(APPROVAL_REQUEST)
        case "mcp_approval_response":
            return str(item.get("approval_request_id")).startswith(APPROVAL_REQUEST)
        case _:
            return False


def item_owner(conversation: str | None, message: str) -> str:
    """Return what the ids of a message's items have in common; without a conversation, nothing finds them."""
    if not conversation:
        return message
    place = UUID(conversation).bytes + UUID(message).bytes
    return urlsafe_b64encode(place).decode().rstrip("=")


def joined(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the messages, in which the parts of an answer are one: reasoning, text, and calls of tools."""
    result: list[Message] = []
    last: Message | None = None
    for message in messages:
        if last is not None and message.role == "assistant" == last.role and _continues(last, message):
            thoughts = [*(last.thoughts or ()), *(message.thoughts or ())]
            calls = [*(last.tool_calls or ()), *(message.tool_calls or ())]
            content = message.content if last.content is None else last.content
            result[-1] = replace(last, content=content, thoughts=thoughts or None, tool_calls=calls or None)
        else:
            result.append(message)
        last = result[-1]
    return tuple(message for message in result if message.thoughts is None or not _is_reasoning(message))


def _continues(last: Message, message: Message) -> bool:
    """Return whether both are parts of one answer: reasoning goes first, calls of tools follow."""
    if _is_reasoning(last):
        return True
    return bool(message.tool_calls) and message.content is None and message.thoughts is None


def _is_reasoning(message: Message) -> bool:
    return message.thoughts is not None and message.content is None and not message.tool_calls


def text_of(message: Message) -> str:
    """Return the text of a message, without its images."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "".join(part.text for part in message.content if isinstance(part, TextPart))


def _known_parts(item: Item, name: str, where: str) -> tuple[Item, list[Untranslated]]:
    """Return an item without the parts of its content that other dialects do not have, which are named."""
    content = item.get(name)
    if not isinstance(content, list) or kind_of(item) == "reasoning":
        return item, []
    others = {
        position: str(part["type"])
        for position, part in enumerate(content)
        if isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] not in PARTS
        if not (item.get("role") == "user" and _is_pdf(part))
    }
    foreign = [
        _foreign(
            f"{where}.{name}[{position}]", f"'{where}.{name}[{position}]' of type '{kind}'", "Send text or images."
        )
        for position, kind in others.items()
    ]
    empty = {"type": "input_text", "text": ""}  # keeps the positions
    return {**item, name: [empty if at in others else part for at, part in enumerate(content)]}, foreign


def _is_pdf(part: Item) -> bool:
    data, name = part.get("file_data"), part.get("filename", "")
    return (
        part["type"] == "input_file"
        and part.keys() <= _OF_A_PDF
        and isinstance(data, str)
        and data.startswith(PDF_URL)
        and isinstance(name, str)
    )


def _message(item: Known, where: str) -> Understood:
    match item:
        case InputMessage():
            content, beyond = _content(item.content, f"{where}.content")
            return Understood(Message(item.role, content), beyond)
        case FunctionCall():
            return Understood(_calling(MessageToolCall(item.call_id, Function(item.name, item.arguments))))
        case CustomCall():
            called = _calling(CustomToolCall(item.call_id, CustomInput(item.name, item.input)))
            foreign = _foreign(where, f"'{where}' is an item of type '{item.type}'", "Use functions.")
            return Understood(called, (replace(foreign, known_to=(CHAT, RESPONSES)),))
        case CallOutput():
            content, beyond = _content(item.output, f"{where}.output")
            return Understood(Message("tool", content, tool_call_id=item.call_id), beyond)
        case _:
            thoughts = thoughts_of(item)
            return Understood(Message("assistant", thoughts=thoughts) if thoughts else None)


def thoughts_of(item: ReasoningItem) -> list[Thought] | None:
    """Return the reasoning of an earlier answer: all of it if the item has it sealed, else what of it is shown."""
    sealed = read_thoughts(item.encrypted_content or "")
    if sealed is not None:
        return sealed
    text = "".join(str(part.get("text", "")) for part in item.content or ())
    return [Thought(text)] if text else None


def _calling(call: AnyToolCall) -> Message:
    return Message("assistant", tool_calls=[call])


def _content(content: str | Sequence[Part], where: str) -> tuple[str | list[ContentPart], tuple[Untranslated, ...]]:
    if isinstance(content, str):
        return content, ()
    foreign: list[Untranslated] = []
    parts = [_part(part, f"{where}[{position}]", foreign) for position, part in enumerate(content)]
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    return ("".join(texts) if len(texts) == len(parts) else parts), tuple(foreign)


def _part(part: Part, where: str, foreign: list[Untranslated]) -> ContentPart:
    if isinstance(part, Refusal):
        return TextPart(part.refusal)
    if isinstance(part, InputFile):
        return FilePart(FileData(part.filename, part.file_data))
    if not isinstance(part, InputImage):
        return TextPart(part.text)
    if part.file_id is not None:
        remedy = f"Send the image in '{where}.image_url'."
        foreign.append(_foreign(f"{where}.file_id", f"'{where}.file_id'", remedy))
        return TextPart("")
    if part.image_url is None:
        message = f"Missing required parameter: '{where}.image_url'. Set it to an address or a data URL."
        raise ChatError(Code.INVALID_REQUEST, message, param=f"{where}.image_url")
    return ImagePart(ImageURL(part.image_url, part.detail))


def _foreign(param: str, what: str, remedy: str) -> Untranslated:
    message = f"Unsupported value: {what[:_SHOWN]}, which the model's provider does not have. {remedy}"
    return Untranslated(param[:_SHOWN], message)


_SHOWN: Final = 200
