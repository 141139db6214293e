"""The tool calls of one answer, kept apart by their identity. Pure."""

from collections.abc import Callable

import msgspec

from chatfleet_api.domain.events import ToolCall
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.made_ids import made_id
from chatfleet_api.providers.surrogates import replaced
from chatfleet_api.providers.vendors.openai.chunks import Call, Custom, Function, OldCall

_NO_FUNCTION = Function()


class _Open:
    """A tool call that has begun."""

    __slots__ = ("id", "index", "is_announced", "is_custom", "is_other", "name", "number", "pieces")

    def __init__(self, number: int, index: int | None) -> None:
        self.number = number
        self.index = index
        """The upstream's index, which need not be unique."""
        self.id: str | None = None
        self.name: str | None = None
        self.pieces: list[str] = []
        self.is_announced = False
        """Whether clients have its id and name."""
        self.is_other = False
        """Whether it is none of a function, and its pieces are read elsewhere."""
        self.is_custom = False


class ToolCalls:
    """Numbers tool calls from 0 and gives each one's id and name once, when both are known.

    Another id at a known index is a new call, since Ollama sends index 0 with each; so is an id without index, which is
    how Gemini sends them. Pieces of a call without an id are held back until `complete`, which makes one. So is a call
    in the old form, which counts only if there is none in the new one: servers may send it in both.
    """

    __slots__ = ("_calls", "_old", "_request")

    def __init__(self, request: ChatRequest) -> None:
        """Keep the calls of the answer to `request`."""
        self._calls: list[_Open] = []
        self._old: _Open | None = None
        """The call in the old form, which has no id."""
        self._request = request

    def __bool__(self) -> bool:
        return bool(self._calls) or self._old is not None

    def read(self, piece: Call) -> ToolCall | None:
        """Return what clients get of a piece now."""
        function = piece.function or _of_custom(piece.custom) or _NO_FUNCTION
        if type(piece) is OldCall:
            self._read_old(function)
            return None
        text = function.arguments or ""
        call = self._call_of(piece, function.name, text)
        call.pieces.append(text)
        if call.is_announced:
            return ToolCall(call.number, arguments=text) if text else None
        call.is_custom = call.is_custom or piece.custom is not None
        call.id = call.id or piece.id or None
        call.name = call.name or function.name or None
        return _announced(call) if call.id and call.name else None

    def continuing(self, number: int) -> Callable[[str], ToolCall]:
        """Return what takes further arguments of a call that clients know, and returns what they get."""
        call = self._calls[number]

        def taken(text: str) -> ToolCall:
            call.pieces.append(text)
            return ToolCall(number, arguments=text)

        return taken

    def reserved(self, index: object) -> int:
        """Return the number of a call of something else than a function, whose pieces are read elsewhere."""
        known = index if isinstance(index, int) else None
        for call in self._calls:
            if call.is_other and call.index == known:
                return call.number
        call = _Open(len(self._calls), known)
        call.is_other = call.is_announced = True
        self._calls.append(call)
        return call.number

    def number(self, ident: object, index: object) -> int:
        """Return the number of the newest call with this id, or else this index."""
        for matches in (lambda call: ident and call.id == ident, lambda call: call.index == index):
            if call := next(filter(matches, reversed(self._calls)), None):
                return call.number
        return 0

    def complete(self) -> list[ToolCall]:
        """Return what was held back, with an id for each call that has none."""
        if self._old and not self._calls:
            self._calls.append(self._old)
        held = [call for call in self._calls if not call.is_announced]
        for call in held:
            call.id = call.id or made_id(self._request, call.number)
        return [_announced(call) for call in held]

    def _read_old(self, function: Function) -> None:
        call = self._old = self._old or _Open(0, None)
        call.name = call.name or function.name or None
        call.pieces.append(function.arguments or "")

    def _call_of(self, piece: Call, name: str | None, text: str) -> _Open:
        for call in reversed(self._calls):
            if not call.is_other and _is_of(piece, name, text, call):
                return call
        call = _Open(len(self._calls), piece.index)
        self._calls.append(call)
        return call


def _of_custom(custom: Custom | None) -> Function | None:
    return None if custom is None else Function(custom.name, custom.input)


def _is_of(piece: Call, name: str | None, text: str, call: _Open) -> bool:
    """Return whether `piece` continues `call`."""
    if piece.index is not None and call.index is not None and piece.index != call.index:
        return False
    if piece.id and call.id:
        return piece.id == call.id
    if piece.id and piece.index is None:
        return False  # an id without index begins a call
    if not name or not call.name:
        return True
    # A name that comes again is repeated on each chunk, unless the call before is whole and this one begins anew.
    return name == call.name and not (text.lstrip().startswith("{") and _is_json("".join(call.pieces)))


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(replaced(text))
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _announced(call: _Open) -> ToolCall:
    call.is_announced = True
    return ToolCall(call.number, call.id, call.name, "".join(call.pieces), custom=call.is_custom)
