"""What one step reads: text and calls of the client's tools go to the readers; calls of ours are kept for the pod.

Of ours are the tools of tool servers, and the functions that hand over to another agent.
"""

from collections.abc import Callable, Mapping
from io import StringIO

from msgspec.structs import replace

from chatfleet_api.chat.reply import whole_call
from chatfleet_api.chat.steps import Emit
from chatfleet_api.chat.tool_progress import CallingStep
from chatfleet_api.domain.events import Reasoning, ServerToolCall, Thought, Token, ToolCall
from chatfleet_api.domain.request import Function, MessageToolCall
from chatfleet_api.domain.tools import ServerTool
from chatfleet_api.providers.provider import AnswerItem, Finish, ItemBatch


class StepReader:
    """Reads the answer to one request."""

    def __init__(
        self, tools: Mapping[str, ServerTool], emit: Emit, *, step: int, hands_over: Callable[[str], bool]
    ) -> None:
        """Read step number `step`; `hands_over` returns whether a function of that name does."""
        self._tools = tools
        self._hands_over = hands_over
        self._emit = emit
        self._step = step
        self._text = StringIO()
        self.thoughts: list[Thought] = []
        """The reasoning that its vendor has signed."""
        self._thinking = ""
        self._ours: dict[int, list[ToolCall]] = {}
        """Pieces of calls of our tools, by their number in the answer."""
        self._clients: dict[int, int] = {}
        """From the number of a call of a client's tool to the one that the client gets: it sees no gaps."""
        self.finish: Finish | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text.getvalue()

    @property
    def calls_of_client(self) -> bool:
        """Whether the model has called tools of the client, which alone can go on."""
        return bool(self._clients)

    def take(self, pieces: ItemBatch) -> None:
        """Take what one read brought, and pass on what readers get."""
        if shown := [piece for each in pieces if (piece := self._shown(each)) is not None]:
            self._emit(shown)

    def _shown(self, piece: AnswerItem) -> AnswerItem | None:
        match piece:
            case Token():
                self._text.write(piece.text)
            case Reasoning():
                self._thinking += piece.text
                if piece.signature is not None:
                    self.thoughts.append(Thought(self._thinking, piece.signature))
                    self._thinking = ""
                    return replace(piece, signature=None) if piece.text else None
            case ToolCall():
                return self._call(piece)
            case Finish():
                self.finish = piece
                return None
        return piece

    def _call(self, piece: ToolCall) -> ToolCall | None:
        name = piece.name or ""
        if piece.index in self._ours or name in self._tools or self._hands_over(name):
            self._ours.setdefault(piece.index, []).append(piece)
            return None
        return replace(piece, index=self._clients.setdefault(piece.index, len(self._clients)))

    def calling_step(self) -> CallingStep | None:
        """Return the calls of our tools; None: there are none."""
        calls: list[ServerToolCall] = []
        for index, pieces in sorted(self._ours.items()):
            whole = whole_call(pieces)
            if not isinstance(whole, MessageToolCall) or whole.function.name not in self._tools:
                continue
            tool = self._tools[whole.function.name]
            taken = {call.id for call in calls}
            ident = whole.id if whole.id and whole.id not in taken else f"call_{self._step}_{index}"
            calls.append(
                ServerToolCall(
                    self._step, ident, tool.name, tool.server, tool.tool, whole.function.arguments, tool.repeatable
                )
            )
        if not calls:
            return None
        calls[0] = replace(calls[0], thoughts=tuple(self.thoughts))
        return CallingStep(self.text, calls)

    def handoff(self) -> Function | None:
        """Return the first call that hands over; None: there is none."""
        calls = (whole_call(pieces) for _, pieces in sorted(self._ours.items()))
        functions = (call.function for call in calls if isinstance(call, MessageToolCall))
        return next((function for function in functions if self._hands_over(function.name)), None)
