"""The question that tells its own answer: how many tokens, how fast, and what goes wrong at which attempt.

A client puts a `Script` into the user's message; the scripted upstream reads it there and plays it. Both can therefore
tell, without talking to each other, what the whole answer is. Pure.
"""

from typing import Literal, TypeAlias

import msgspec
from typing_extensions import override

FaultKind: TypeAlias = Literal[
    "status",  # an HTTP error instead of an answer
    "content_type",  # 200, but a web page
    "noise",  # 200, and an event stream, but what comes is no event of the dialect
    "headers",  # not even the headers of a response come
    "reset",  # the connection is reset
    "cut",  # the connection is closed in mid-answer, orderly but too early
    "end",  # the response ends, in good order, without saying that the answer is whole
    "unreasoned",  # the same, and the dialect's last word comes, but no reason to finish
    "half",  # the same in the midst of an event
    "stall",  # nothing more comes, and the connection stays open
    "error",  # an error event, then the end
    "garbage",  # one event is unreadable; all others come
]


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What goes wrong in one attempt, after `after` tokens of it."""

    kind: FaultKind
    after: int = 0
    status: int = 500
    retry_after: str | None = None

    @override
    def __str__(self) -> str:
        kind = f"status {self.status}" if self.kind == "status" else self.kind
        return f"fault {kind} after {self.after} tokens"


class Script(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer: token `i`, from 0, reads `<key>:<i> `. Times are seconds."""

    key: str
    """Unique among all questions that one upstream gets."""
    tokens: int
    gap: float = 0.0
    """Pause between two tokens."""
    first: float = 0.0
    """Pause before the first token."""
    faults: tuple[Fault, ...] = ()
    """Of the first attempts, one each."""
    always: Fault | None = None
    """Of every attempt beyond those."""

    def fault(self, attempt: int) -> Fault | None:
        """Return what goes wrong in the given attempt, counted from 0."""
        return self.faults[attempt] if attempt < len(self.faults) else self.always

    def pieces(self, after: str = "") -> list[str]:
        """Return the tokens that follow `after`, what the answer already has; the first may be the rest of a cut one.

        Raises:
            ValueError: `after` is not how the answer begins.
        """
        if not self.answer.startswith(after):
            raise ValueError("the assistant's message is not how this answer begins")
        pieces, length = [], 0
        for token in map(self._token, range(self.tokens)):
            length += len(token)
            if length > len(after):
                pieces.append(token[-(length - len(after)) :])
        return pieces

    @property
    def answer(self) -> str:
        """The whole answer."""
        return "".join(map(self._token, range(self.tokens)))

    @property
    def question(self) -> str:
        """The message that asks for it."""
        return msgspec.json.encode(self).decode()

    def _token(self, index: int) -> str:
        return f"{self.key}:{index} "


def read_question(text: str) -> Script:
    """Return the script in a user's message; raises `ValueError` when there is none."""
    return msgspec.json.decode(text, type=Script)
